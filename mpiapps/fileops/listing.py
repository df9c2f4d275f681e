"""The files of a run: names listed by the root, sizes read by all ranks."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mpiapps.comm.partition import blocks
from mpiapps.fileops.own_files import OwnFiles
from mpiapps.launch.mpi import MPI

MISSING = -1  # size of a file that cannot be read


@dataclass(frozen=True)
class Listing:
    """The files of a run, the same on all ranks.

    Attributes
    ----------
    names : list of str
        In the order of the arguments, those of a directory sorted; bytes that are not
        UTF-8 are encoded by ``surrogateescape``.
    sizes, times : ndarray of int64
        Bytes, or `MISSING`; time of the last modification in ns.
    errors : dict of int to str
        Index in `names` -> reason why the file cannot be read.
    own : dict of str to str
        Files that are left out, since they are the run's own -> `OwnFiles.label`.
    """

    names: list[str]
    sizes: np.ndarray
    times: np.ndarray
    errors: dict[int, str]
    own: dict[str, str] = field(default_factory=dict)


def gather_listing(
    comm: MPI.Intracomm, names: Sequence[str] | None, own_files: OwnFiles | None = None
) -> Listing:
    """Return the files with their sizes, without own ones. Collective.

    `names` on the root. Each rank calls stat for its share of the files. Cost: a
    broadcast of the names, an allgather of 16 bytes for each file.
    """
    joined = b"\0".join(map(os.fsencode, names)) if names else b""
    joined, count = comm.bcast((joined, len(names or ())))
    all_names = list(map(os.fsdecode, joined.split(b"\0"))) if count else []
    parts = blocks(count, comm.size)
    block = parts[comm.rank]
    local_rows = np.empty((len(block), 2), np.int64)
    local_errors, local_own = {}, {}
    for row, n in enumerate(block):
        status, reason = _stat(all_names[n])
        if own_files and (label := own_files.label(all_names[n], status)):
            local_own[n] = label
        if status and not reason:
            local_rows[row] = status.st_size, status.st_mtime_ns
        else:
            local_rows[row] = MISSING, 0
            local_errors[n] = reason
    rows = np.empty((count, 2), np.int64)
    lengths = [2 * len(part) for part in parts]
    comm.Allgatherv(local_rows, [rows, lengths])
    errors, own = dict[int, str](), dict[int, str]()
    for some_errors, some_own in comm.allgather((local_errors, local_own)):
        errors |= some_errors
        own |= some_own
    sizes, times = np.ascontiguousarray(rows.T)
    listing = Listing(all_names, sizes, times, errors)
    return _without(listing, own) if own else listing


def _without(listing: Listing, own: dict[int, str]) -> Listing:
    """Return a listing without own files, which are given by index."""
    names = listing.names
    kept = [n for n in range(len(names)) if n not in own]
    return Listing(
        [names[n] for n in kept],
        listing.sizes[kept],
        listing.times[kept],
        {row: listing.errors[n] for row, n in enumerate(kept) if n in listing.errors},
        {names[n]: label for n, label in own.items()},
    )


def _stat(name: str) -> tuple[os.stat_result | None, str]:
    """Return the status of a file, and the reason if it is unusable."""
    try:
        status = os.stat(name)  # noqa: PTH116 - for a million files 2 s, by Path 7 s
    except OSError as error:
        return None, error.strerror or str(error)
    if not stat.S_ISREG(status.st_mode):
        directory = stat.S_ISDIR(status.st_mode)
        reason = (
            "a directory that cannot be read" if directory else "not a regular file"
        )
        return status, reason
    return status, ""
