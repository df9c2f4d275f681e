"""Efficiency as a plot of characters, for a terminal without matplotlib."""

from __future__ import annotations

from mpiapps.scaling.results import Results

WIDTH = 50  # characters of an efficiency of 1


def draw(results: Results) -> str:
    """Return a bar of the efficiency for each count, with its interval as ``-``."""
    rows = results.line
    unit = "nodes" if rows[0].case.nodes else "cores"
    width = max(len(unit), *(len(str(row.case.count)) for row in rows))
    lines = [f"{unit:>{width}}  efficiency (| is 1)"]
    for row in rows:
        value, low, high = (round(WIDTH * x) for x in row.efficiency)
        bar = "#" * value
        bar = (
            bar[: max(0, low)] + "-" * (min(high, 2 * WIDTH) - max(0, low))
            if high > low
            else bar
        )
        bar = _mark(bar, value, "#") if value else bar
        bar = _mark(bar, WIDTH, "|")
        number = f"{row.efficiency.value:.2f}"
        lines.append(f"{row.case.count:>{width}}  {bar:<{WIDTH + 1}} {number}")
    return "\n".join(lines) + "\n"


def _mark(bar: str, column: int, character: str) -> str:
    """Return `bar` with a character in a column, from 1."""
    bar = bar.ljust(column)
    return bar[: column - 1] + character + bar[column:]
