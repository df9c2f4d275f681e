"""The errors of the package; each class carries the exit code it ends a program with.

The codes are a contract that job scripts rely on (0 is done):

=====  ==========================================================
code   meaning
=====  ==========================================================
1      unexpected exception
2      wrong command line
3      done, but some tasks failed
4      a numerical check failed
65     bad input data
70     a rank left early
74     cannot read or write
75     stopped before the end, resume possible
76     stalled: no progress
78     the environment or the launcher is wrong
130    interrupted (SIGINT)
143    terminated (SIGTERM)
=====  ==========================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class MpiAppsError(Exception):
    """An error that is explained by its message alone: no traceback is shown."""

    exit_code = 1


class UsageError(MpiAppsError):
    """The command line or an argument is wrong."""

    exit_code = 2


class TasksFailed(MpiAppsError):
    """The run is done, but some of its tasks failed."""

    exit_code = 3


class CheckFailed(MpiAppsError):
    """A result misses its numerical check."""

    exit_code = 4


class InputError(MpiAppsError):
    """The input data cannot be used."""

    exit_code = 65


class RankLeft(MpiAppsError):
    """A rank left while others were still at work."""

    exit_code = 70


class ReadWriteError(MpiAppsError):
    """A file cannot be read or written."""

    exit_code = 74


class Stopped(MpiAppsError):
    """Stopped before the end; the work can be resumed."""

    exit_code = 75


class Stalled(MpiAppsError):
    """No progress for too long."""

    exit_code = 76


class LaunchError(MpiAppsError):
    """The environment or the launcher is wrong."""

    exit_code = 78


class Terminated(SystemExit):
    """A signal asked this process to end; ``code`` is 128 + its number."""

    code: int


class KeyboardInterruptSignal(KeyboardInterrupt):
    """SIGINT came: raised by a signal, not by a program's own ``raise``."""


@contextmanager
def naming(path: Path | str, what: str) -> Iterator[None]:
    """Turn an operating system's error into a `ReadWriteError` of the file. Local.

    Parameters
    ----------
    path : Path or str
    what : {"read", "write", "make", "remove"}
        What could not be done with it.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ReadWriteError(f"cannot {what} {path}: {reason}") from error


def exit_code(error: BaseException | None) -> int:
    """Return the exit code that `error` ends a program with.

    Local. `None` is 0; `SystemExit` follows Python's own rule (``None`` is 0, a
    text is 1); `KeyboardInterrupt` is 130; other foreign exceptions are 1.
    """
    match error:
        case None:
            return 0
        case MpiAppsError():
            return error.exit_code
        case KeyboardInterrupt():
            return 130
        case SystemExit(code=None):
            return 0
        case SystemExit(code=int(code)):
            return code & 0xFF
        case _:
            return 1
