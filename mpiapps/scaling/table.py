"""Tables as text, Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

# Characters that LaTeX interprets.
SPECIAL = re.compile(r"[\\&%$#_{}~^]")
ESCAPES = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}


@dataclass(frozen=True)
class Table:
    """Cells as text, and remarks below them.

    Attributes
    ----------
    title : str
    header : list of str
    rows : list of list of str
    notes : list of str
    """

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)


def as_text(table: Table) -> str:
    """Return aligned columns."""
    widths = [
        max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)
    ]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in [table.header, *table.rows]
    ]
    return "\n".join([table.title, "", *lines, "", *table.notes]) + "\n"


def as_markdown(table: Table) -> str:
    """Return a table of GitHub's Markdown."""
    lines = [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
        for row in [table.header, ["---:"] * len(table.header), *table.rows]
    ]
    notes = [f"- {note}" for note in table.notes]
    return "\n".join([f"**{table.title}**", "", *lines, "", *notes]) + "\n"


def as_latex(table: Table) -> str:
    """Return a table environment; needs the package booktabs."""
    rows = [" & ".join(map(_latex, row)) + r" \\" for row in table.rows]
    notes = [f"{_latex(note)}." for note in table.notes]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\begin{{tabular}}{{{'r' * len(table.header)}}}",
        r"\toprule",
        " & ".join(map(_latex, table.header)) + r" \\",
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\caption{{{' '.join([_latex(table.title) + '.', *notes])}}}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    return SPECIAL.sub(lambda m: ESCAPES.get(m[0], f"\\{m[0]}"), text)


def as_csv(table: Table) -> str:
    """Return header and rows as CSV, without title and notes."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.header, *table.rows])
    return text.getvalue()


FORMATS: Mapping[str, Callable[[Table], str]] = {
    "text": as_text,
    "markdown": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
}
