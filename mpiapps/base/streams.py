"""Standard output and error that may be full, closed or gone at any moment.

Results are files first: what is printed comes last, and its failure is an exit code.
What is said on standard error is a courtesy, and must never end a run.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from mpiapps.base.errors import ReadWriteError

FAILURES = (OSError, ValueError, AttributeError)  # full or gone; closed; never open


def write_out(text: str) -> None:
    """Write `text` to standard output, all of it. Local.

    Raises
    ------
    ReadWriteError
        If it cannot be written. Nothing more is written then, also not at exit.
    """
    try:
        _write(sys.stdout, text)
    except FAILURES as error:
        _abandon(sys.stdout, 1)
        reason = getattr(error, "strerror", None) or "it is closed"
        raise ReadWriteError(
            f"cannot write to standard output: {reason}; results that options such as"
            " --json name are complete"
        ) from error


def write_err(text: str) -> None:
    """Write `text` to standard error; what cannot be written is dropped. Local."""
    try:
        _write(sys.stderr, text)
    except FAILURES:
        _abandon(sys.stderr, 2)


def flush_out() -> None:
    """Write what was printed and is still buffered. Local; raises as `write_out`."""
    if sys.stdout is not None and not sys.stdout.closed:
        write_out("")


def drop_out() -> None:
    """Write what was printed, or drop it, as the exit code is decided. Local."""
    with suppress(ReadWriteError):
        flush_out()


def reserve_streams() -> None:
    """Open the null device where a standard stream is closed. Local; early.

    Else the next file that is opened gets that number, and what a library prints goes
    into that file.
    """
    for number in (0, 1, 2):
        with suppress(OSError):
            os.fstat(number)
            continue
        null = os.open(os.devnull, os.O_RDWR)
        if null == number:
            os.set_inheritable(number, True)
        else:
            os.dup2(null, number)
            os.close(null)


class Courtesy:
    """Standard error as a file whose writes never fail, for progress bars. Local."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Write `text` if that is possible."""
        write_err(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` has done it."""

    def isatty(self) -> bool:
        """Return whether standard error is a terminal."""
        with suppress(*FAILURES):
            return sys.stderr.isatty()
        return False


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()


def _abandon(stream: TextIO | None, number: int) -> None:
    """Let what is left in the buffer go nowhere, so that exit does not fail of it."""
    with suppress(*FAILURES):
        if stream is None or stream.fileno() != number:
            return  # never open, or a replacement, such as a test's
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)
        stream.flush()
