"""Files that all ranks write at once: whole, or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from mpiapps.base.errors import naming
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
        Seen by all ranks. Written beside it under another name, brought to the disk,
        then renamed: who reads it finds the old content or all of the new one.
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
    part, offset = None, 0
    try:
        with agree(comm), naming(target, "write"):
            if comm.rank == 0:
                part, offset = _begun(target, begin, total)
        part, offset = comm.bcast((part, offset))
        with agree(comm), naming(target, "write"):
            WRITE[checked_way(way)](comm, part, offset + before, data)
        with agree(comm), naming(target, "write"):
            if comm.rank == 0:
                Path(part).replace(target)
    except BaseException:
        if comm.rank == 0 and part is not None:
            Path(part).unlink(missing_ok=True)
        raise


def _begun(target: Path, begin: Callable[[Path], int], total: int) -> tuple[str, int]:
    """Make the file, at its full size. Root only."""
    if target.is_dir():
        raise IsADirectoryError(21, "Is a directory")
    handle, part = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        os.fchmod(handle, 0o666 & ~_umask())
        offset = begin(Path(part))
        # A disk that is full says so now, not in the middle.
        if total:
            os.posix_fallocate(handle, offset, total)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return part, offset


def _umask() -> int:
    found = os.umask(0o022)
    os.umask(found)
    return found
