"""Results as text and CSV, and files that are whole or not there."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import ReadWriteError
from mpiapps.base.replacing import open_beside, put_in_place, real_path
from mpiapps.base.units import format_seconds

if TYPE_CHECKING:
    from mpiapps.comm.timers import Timing

DIGITS = 10  # significant ones of a number in the report
ENDS = 3  # values of a long list that are shown at each end
BOLD, PLAIN = "\033[1m", "\033[0m"


class WholeFile:
    """A file that appears at its name only when it is complete. Local.

    The content goes to a temporary name in the same folder, is synced to disk and
    renamed (`mpiapps.base.replacing`): whoever reads `path` finds the old file or the
    new one, also after a kill.
    Opening before the work starts finds out that a target cannot be written while it is
    cheap.
    A device or a pipe keeps its place: it is written to as it is.

    Raises
    ------
    ReadWriteError
        If the file cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        """Make the temporary file beside `path`, or open what is no regular file."""
        self.path = path
        self._part: Path | None = None
        try:
            if path.exists() and not path.is_file():
                number = os.open(path, os.O_WRONLY)
            else:
                self.path = real_path(path)
                number, self._part = open_beside(self.path)
        except OSError as error:
            raise self._refusal(error) from error
        self._stream = os.fdopen(number, "wb")

    def commit(self, content: str | bytes) -> None:
        """Write `content` and give the file its name.

        A text is written as UTF-8; names of files keep the bytes that are none.
        """
        if isinstance(content, str):
            content = content.encode(errors="surrogateescape")
        try:
            with self._stream as stream:
                stream.write(content)
            if self._part is not None:
                put_in_place(self._part, self.path)
        except OSError as error:
            self.discard()
            raise self._refusal(error) from error

    def discard(self) -> None:
        """Close, and remove the temporary file if it is still there."""
        with suppress(OSError):  # a full device fails again at closing
            self._stream.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def _refusal(self, error: OSError) -> ReadWriteError:
        reason = error.strerror or error
        return ReadWriteError(
            f"cannot write {self.path}: {reason}; name a file in a folder that exists"
            " and that you may write to"
        )


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return `rows`, which have the same names, as CSV with a header. Local."""
    each = [{name: _cell(value) for name, value in row.items()} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(each[0]) if each else [])
    writer.writeheader()
    writer.writerows(each)
    return text.getvalue()


def as_text(
    title: str,
    values: Mapping[str, Any],
    timings: Mapping[str, Timing],
    *,
    color: bool = False,
    digits: int = DIGITS,
) -> str:
    """Return the report that people read: a title, then a line per value. Local.

    Numbers are rounded to `digits` significant digits.
    """
    lines = [
        f"{name}\t{_cell(_shortened(value), f'.{digits}g')}"
        for name, value in values.items()
    ]
    for name, timing in timings.items():
        took, mean = format_seconds(timing.max), format_seconds(timing.mean)
        lines.append(f"{name}\t{took} (mean {mean}, imbalance {timing.imbalance:.1%})")
    width = max((len(line.partition("\t")[0]) for line in lines), default=0)
    body = [f"  {line.partition(chr(9))[0]:<{width}}  {line.partition(chr(9))[2]}"
            for line in lines]  # fmt: skip
    head = f"{BOLD}{title}{PLAIN}" if color else title
    return "\n".join([head, *body]) + "\n"


def use_color(choice: str, environ: Mapping[str, str]) -> bool:
    """Return whether standard output gets colours. Local.

    Open MPI gives every rank a pseudo-terminal on standard output, even into a file:
    under a launcher ``auto`` is therefore never, unless ``FORCE_COLOR`` is set.
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    launched = any(name in environ for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))
    if launched or environ.get("TERM") == "dumb":
        return False
    return sys.stdout is not None and sys.stdout.isatty()


def _shortened(value: Any) -> Any:
    """Return a list that people can read: without its middle, if it is long."""
    if not isinstance(value, list | tuple):
        return value
    # Words are few, and were asked for; numbers may be a million.
    if len(value) <= 2 * ENDS + 1 or all(isinstance(each, str) for each in value):
        return [_shortened(each) for each in value]
    ends = [_shortened(each) for each in (*value[:ENDS], *value[-ENDS:])]
    return [*ends[:ENDS], "...", *ends[ENDS:], f"({len(value)} in all)"]


def _cell(value: Any, spec: str = "") -> str:
    """Return `value` as text; floats by the format `spec`, whole without one."""
    if isinstance(value, list | tuple):
        return " ".join(_cell(part, spec) for part in value)
    if isinstance(value, str):
        return printable(value)
    return format(float(value), spec) if isinstance(value, float) else str(value)


def printable(text: str) -> str:
    """Return a text with escapes for what a terminal would obey, or cannot show."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
        for c in text
    )
