"""The files of a run: names listed by the root, sizes read by all ranks."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpiapps.comm.partition import blocks
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
    """

    names: list[str]
    sizes: np.ndarray
    times: np.ndarray
    errors: dict[int, str]


def gather_listing(comm: MPI.Intracomm, names: Sequence[str] | None) -> Listing:
    """Return the files with their sizes. Collective; `names` on the root.

    Each rank calls stat for its share of the files. Cost: a broadcast of the names, an
    allgather of 16 bytes for each file.
    """
    joined = b"\0".join(map(os.fsencode, names)) if names else b""
    joined, count = comm.bcast((joined, len(names or ())))
    all_names = list(map(os.fsdecode, joined.split(b"\0"))) if count else []
    parts = blocks(count, comm.size)
    block = parts[comm.rank]
    local_rows = np.empty((len(block), 2), np.int64)
    local_errors = {}
    for row, n in enumerate(block):
        local_rows[row], reason = _stat(all_names[n])
        if reason:
            local_errors[n] = reason
    rows = np.empty((count, 2), np.int64)
    lengths = [2 * len(part) for part in parts]
    comm.Allgatherv(local_rows, [rows, lengths])
    errors = {n: e for part in comm.allgather(local_errors) for n, e in part.items()}
    sizes, times = np.ascontiguousarray(rows.T)
    return Listing(all_names, sizes, times, errors)


def _stat(name: str) -> tuple[tuple[int, int], str]:
    """Return size and modification time of a file, and the reason if it is unusable."""
    try:
        status = os.stat(name)  # noqa: PTH116 - for a million files 2 s, by Path 7 s
    except OSError as error:
        return (MISSING, 0), error.strerror or str(error)
    if not stat.S_ISREG(status.st_mode):
        directory = stat.S_ISDIR(status.st_mode)
        reason = (
            "a directory that cannot be read" if directory else "not a regular file"
        )
        return (MISSING, 0), reason
    return (status.st_size, status.st_mtime_ns), ""
