"""Forked children of a rank, which must not call MPI.

A child that sends, aborts or finalizes MPI at exit hangs, or ends its parent's job.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

from mpiapps.base.errors import MpiAppsError, exit_code

_FORKS: list[None] = []  # one per fork between the first process and this one
_OWNER: list[int] = []  # number of forks at the start of MPI
os.register_at_fork(after_in_child=lambda: _FORKS.append(None))


def forks() -> int:
    """Return the number of forks between the first process and this one. Local."""
    return len(_FORKS)


def set_mpi_owner() -> None:
    """Mark this process as the one that starts MPI. Local."""
    _OWNER[:] = [forks()]


def is_child() -> bool:
    """Return whether this process was forked after MPI started. Local."""
    return _OWNER not in ([], [forks()])


def end_if_child(error: BaseException | None) -> None:
    """End a child of a rank, as `end_child` does; return in the rank itself. Local."""
    if is_child():
        end_child(error)


def end_child(error: BaseException | None) -> NoReturn:
    """End this forked process with the exit code of `error`, which is printed. Local.

    Like the exit of a Python program but without `atexit` callbacks, which would
    finalize MPI.
    """
    text = ""
    if isinstance(error, MpiAppsError):
        text = f"mpiapps: error: {error}\n"
    elif isinstance(error, SystemExit):
        text = "" if isinstance(error.code, int | None) else f"{error.code}\n"
    elif error is not None:
        text = "".join(traceback.format_exception(error))
    for stream, last in ((sys.stdout, ""), (sys.stderr, text)):
        with suppress(OSError, ValueError, AttributeError):
            stream.write(last)
            stream.flush()
    os._exit(exit_code(error))
