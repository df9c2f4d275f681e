"""Processes that code has forked from a rank: they must leave MPI alone.

What a rank has of MPI is its own. A child that sends, that aborts or that ends MPI at
its exit hangs, or ends the job of its parent.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

from mpiapps.base.errors import MpiAppsError, exit_code

_FORKS: list[None] = []  # one for each fork between the first process and this one
_OWNER: list[int] = []  # how many there were when MPI was started
os.register_at_fork(after_in_child=lambda: _FORKS.append(None))


def forks() -> int:
    """Return the number of forks between the first process and this one. Local."""
    return len(_FORKS)


def own_mpi() -> None:
    """Remember that it is this process that starts MPI. Local."""
    _OWNER[:] = [forks()]


def is_child() -> bool:
    """Return whether this process was forked from one that has started MPI. Local."""
    return _OWNER not in ([], [forks()])


def end_if_child(error: BaseException | None) -> None:
    """End a child of a rank, as `end_child` does; return in the rank itself. Local."""
    if is_child():
        end_child(error)


def end_child(error: BaseException | None) -> NoReturn:
    """End this forked process with the exit code of `error`, which is printed. Local.

    As the end of a Python program would, but that nothing is called at exit: MPI would
    be ended there.
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
