"""Atomic replacement of a file that all ranks write in parallel."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mpiapps.base.errors import os_errors
from mpiapps.comm.consistency import raise_together
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.parallel_io import WRITE, Transfer, check_method
from mpiapps.storage.replace_file import create_temporary, real_path, replace_target


def write_atomic(
    comm: MPI.Intracomm,
    target: Path,
    begin: Callable[[Path], range],
    write: Callable[[Transfer, int], None],
    method: str = "posix",
) -> None:
    """Write a file by all ranks. Collective.

    The file is visible to all ranks; a temporary file in the same directory is written,
    fsynced and renamed (`mpiapps.storage.replace_file`): readers see the old or the new
    content.

    Parameters
    ----------
    begin : callable
        Called on the root with the path of an empty file: writes the header and
        returns the range of bytes of the data.
    write : callable
        Called on each rank with a function that writes bytes at an offset of the file,
        and the offset of the data: writes the rank's part.
    method : {"posix", "mpiio"}

    Raises
    ------
    FileAccessError
        On all ranks, if it cannot be written; the old file is unchanged.
    """
    target, part, offset = real_path(target), None, 0
    try:
        with raise_together(comm), os_errors(target, "write"):
            check_method(method)
            if comm.rank == 0:
                part, offset = _create(target, begin)
        part, offset = comm.bcast((part, offset))
        with (
            raise_together(comm),
            os_errors(target, "write"),
            WRITE[method](comm, part) as transfer,
        ):
            write(transfer, offset)
        with raise_together(comm), os_errors(target, "write"):
            if comm.rank == 0:
                replace_target(part, target)
    except BaseException:
        if comm.rank == 0 and part is not None:
            part.unlink(missing_ok=True)
        raise


def _create(target: Path, begin: Callable[[Path], range]) -> tuple[Path, int]:
    """Create the temporary file at its full size. Root only."""
    handle, part = create_temporary(target)
    try:
        data = begin(part)
        # Reports a full disk before any data is written.
        if data:
            os.posix_fallocate(handle, data.start, len(data))
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)
    return part, data.start
