"""Errors of the package; each class has the exit code of a program that raises it.

The codes are a contract that job scripts rely on (0: done):

=====  ==========================================================
code   meaning
=====  ==========================================================
1      unexpected exception
2      usage error
3      done, but some tasks failed
4      a numerical check failed
65     bad input data
70     a rank exited early
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
    """An error that is reported by its message, without a traceback."""

    exit_code = 1


class UsageError(MpiAppsError):
    """The command line or an argument is wrong."""

    exit_code = 2


class TasksFailed(MpiAppsError):
    """The run is done, but some of its tasks failed."""

    exit_code = 3


class CheckFailed(MpiAppsError):
    """A result fails its numerical check."""

    exit_code = 4


class InputError(MpiAppsError):
    """The input data cannot be used."""

    exit_code = 65


class RankExited(MpiAppsError):
    """A rank exited while others were still running."""

    exit_code = 70


class FileAccessError(MpiAppsError):
    """A file cannot be read or written."""

    exit_code = 74


class Checkpointed(MpiAppsError):
    """The run has stopped before the end, and can be resumed."""

    exit_code = 75


class Stalled(MpiAppsError):
    """No progress for too long."""

    exit_code = 76


class LaunchError(MpiAppsError):
    """The environment or the launcher is wrong."""

    exit_code = 78


class Terminated(SystemExit):
    """A signal terminates this process; ``code`` is 128 + its number."""

    code: int


class KeyboardInterruptSignal(KeyboardInterrupt):
    """Raised on SIGINT; distinguishes it from a program's own ``raise``."""


@contextmanager
def os_errors(path: Path | str, operation: str) -> Iterator[None]:
    """Convert an `OSError` in the block to a `FileAccessError` about `path`.

    Parameters
    ----------
    path : Path or str
    operation : {"read", "write", "make", "remove"}
        The operation that failed, for the message.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise FileAccessError(f"cannot {operation} {path}: {reason}") from error


def exit_code(error: BaseException | None) -> int:
    """Return the exit code of a program that raises `error`.

    `None` is 0; `SystemExit` follows Python's rule (``None`` is 0, a text is 1);
    `KeyboardInterrupt` is 130; other exceptions are 1.
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
