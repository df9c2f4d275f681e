"""Files that all ranks write at once: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mpiapps.base.errors import naming
from mpiapps.base.replacing import open_beside, put_in_place, real_path
from mpiapps.comm.agree import agree
from mpiapps.comm.mpi import MPI
from mpiapps.linalg.bytes_of import WRITE, Bytes, checked_way


def write_whole(
    comm: MPI.Intracomm,
    target: Path,
    begin: Callable[[Path], int],
    data: Bytes,
    way: str = "posix",
) -> None:
    """Write one file, each rank its bytes after those of the rank before. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm
    target : Path
        Seen by all ranks; replaced whole, as `mpiapps.base.replacing` does it.
    begin : callable
        Root only: writes what comes before the data into an empty file, and returns
        where the data begin.
    data : ndarray of bytes
    way : str
        One of `bytes_of.WAYS`.

    Raises
    ------
    ReadWriteError
        On all ranks, if it cannot be written; what was there is untouched.
    """
    before = comm.exscan(data.size) or 0
    total = comm.allreduce(data.size)
    target, part, offset = real_path(target), None, 0
    try:
        with agree(comm), naming(target, "write"):
            if comm.rank == 0:
                part, offset = _begun(target, begin, total)
        part, offset = comm.bcast((part, offset))
        with agree(comm), naming(target, "write"):
            WRITE[checked_way(way)](comm, part, offset + before, data)
        with agree(comm), naming(target, "write"):
            if comm.rank == 0:
                put_in_place(part, target)
    except BaseException:
        if comm.rank == 0 and part is not None:
            part.unlink(missing_ok=True)
        raise


def _begun(target: Path, begin: Callable[[Path], int], total: int) -> tuple[Path, int]:
    """Make the file, at its full size. Root only."""
    handle, part = open_beside(target)
    try:
        offset = begin(part)
        # A disk that is full is an error now, not in the middle.
        if total:
            os.posix_fallocate(handle, offset, total)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return part, offset
