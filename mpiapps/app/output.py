"""Reports of results as text and CSV."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mpiapps.base.streams import printable
from mpiapps.base.units import format_seconds

if TYPE_CHECKING:
    from mpiapps.comm.timers import Timing

EDGE_ITEMS = 3  # values shown at each end of a long list
BOLD, PLAIN = "\033[1m", "\033[0m"


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return `rows`, which have equal keys, as CSV with a header."""
    cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(cells[0]) if cells else [])
    writer.writeheader()
    writer.writerows(cells)
    return text.getvalue()


def as_text(
    title: str,
    values: Mapping[str, Any],
    timings: Mapping[str, Timing],
    *,
    color: bool = False,
) -> str:
    """Return the text report: a title, then a line per value."""
    lines = [f"{name}\t{_cell(_summarized(value))}" for name, value in values.items()]
    for name, timing in timings.items():
        longest, mean = format_seconds(timing.max), format_seconds(timing.mean)
        lines.append(
            f"{name}\t{longest} (mean {mean}, imbalance {timing.imbalance:.1%})"
        )
    width = max((len(line.partition("\t")[0]) for line in lines), default=0)
    body = [f"  {line.partition(chr(9))[0]:<{width}}  {line.partition(chr(9))[2]}"
            for line in lines]  # fmt: skip
    head = f"{BOLD}{title}{PLAIN}" if color else title
    return "\n".join([head, *body]) + "\n"


def use_color(choice: str, environ: Mapping[str, str]) -> bool:
    """Return whether to print colours on standard output.

    Open MPI gives every rank a pseudo-terminal for standard output, even if that is
    redirected to a file: under a launcher ``auto`` means never, unless ``FORCE_COLOR``
    is set.
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    has_launcher = any(name in environ for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE"))
    if has_launcher or environ.get("TERM") == "dumb":
        return False
    return sys.stdout is not None and sys.stdout.isatty()


def _summarized(value: Any) -> Any:
    """Return a list without its middle, if it is long."""
    if not isinstance(value, list | tuple):
        return value
    # Lists of strings are short and wanted; lists of numbers may have a million items.
    n = EDGE_ITEMS
    if len(value) <= 2 * n + 1 or all(isinstance(item, str) for item in value):
        return [_summarized(item) for item in value]
    edges = [_summarized(item) for item in (*value[:n], *value[-n:])]
    return [*edges[:n], "...", *edges[n:], f"({len(value)} in all)"]


def _cell(value: Any) -> str:
    """Return `value` as text; floats with the fewest digits that `float` reads back."""
    if isinstance(value, list | tuple):
        return " ".join(map(_cell, value))
    if isinstance(value, str):
        return printable(value)
    return repr(float(value)) if isinstance(value, float) else str(value)
