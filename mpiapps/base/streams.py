"""Standard output and standard error whose writes may fail at any time.

Results are written to files first; a failure of standard output afterwards is an exit
code. A failure of standard error never ends a run.
"""

from __future__ import annotations

import itertools
import os
import sys
from bisect import bisect_right
from contextlib import suppress
from typing import TextIO

from mpiapps.base.errors import FileAccessError

# The errors of a full disk or broken pipe, of a closed stream, and of a missing one.
WRITE_ERRORS = (OSError, ValueError, AttributeError)
MAX_ABBREVIATED = 200  # characters


def write_out(text: str | bytes) -> None:
    """Write `text` to standard output, all of it; bytes as they are.

    Raises
    ------
    FileAccessError
        If it cannot be written. Further output is discarded, also at exit.
    """
    try:
        _write(sys.stdout, text)
    except WRITE_ERRORS as error:
        _redirect_to_devnull(sys.stdout, 1)
        reason = getattr(error, "strerror", None) or "it is closed"
        raise FileAccessError(
            f"cannot write to standard output: {reason}; files of results, such as of"
            " --json, are complete"
        ) from error


def write_err(text: str) -> None:
    """Write `text` to standard error; ignore failures."""
    try:
        _write(sys.stderr, text)
    except WRITE_ERRORS:
        _redirect_to_devnull(sys.stderr, 2)


def flush_out() -> None:
    """Flush standard output; raises as `write_out`."""
    if sys.stdout is not None and not sys.stdout.closed:
        write_out("")


def discard_out() -> None:
    """Flush standard output; ignore failures, since the exit code is decided."""
    with suppress(FileAccessError):
        flush_out()


def reserve_streams() -> None:
    """Open the null device for closed standard streams; call it early.

    Else the next file that is opened gets the descriptor, and libraries print into it.
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


def printable(text: str) -> str:
    """Return a text with escapes for control and other unprintable characters."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )


def abbreviated(text: str, *, quoted: bool = False) -> str:
    """Return the beginning of a text as one line of at most `MAX_ABBREVIATED`.

    Backslashes, unprintable characters and bytes that are not UTF-8 are escaped before
    it is cut; what is cut ends in ``...``. If `quoted`, it is in quotes, as by `repr`.
    """
    text = text[: MAX_ABBREVIATED + 1]
    quote = ('"' if "'" in text and '"' not in text else "'") if quoted else ""
    escaped = [
        f"\\{c}" if c in ("\\", quote) else _escaped_byte(c) or printable(c)
        for c in text
    ]
    ends = list(itertools.accumulate(map(len, escaped)))
    if ends and ends[-1] > MAX_ABBREVIATED:
        escaped = [*escaped[: bisect_right(ends, MAX_ABBREVIATED - 3)], "..."]
    return f"{quote}{''.join(escaped)}{quote}"


def _escaped_byte(c: str) -> str:
    """Return the escape of a byte that `os.fsdecode` could not decode, or nothing."""
    return f"\\x{ord(c) - 0xDC00:x}" if "\udc80" <= c <= "\udcff" else ""


class SafeStream:
    """Standard error as a file whose writes never fail, for progress bars."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Write `text`; ignore failures."""
        write_err(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: `write` flushes."""

    def isatty(self) -> bool:
        """Return whether standard error is a terminal."""
        with suppress(*WRITE_ERRORS):
            return sys.stderr.isatty()
        return False


def _write(stream: TextIO, text: str | bytes) -> None:
    if isinstance(text, bytes):
        stream.flush()
        stream.buffer.write(text)
    else:
        stream.write(text)
    stream.flush()


def _redirect_to_devnull(stream: TextIO | None, number: int) -> None:
    """Discard the buffer, so that the flush at exit does not fail."""
    with suppress(*WRITE_ERRORS):
        if stream is None or stream.fileno() != number:
            return  # not open, or replaced, as in tests
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)
        stream.flush()
