"""Draw pictures of what follows what, as boxes and arrows.

usage: python scripts/draw_flows.py DIRECTORY
"""

from __future__ import annotations

import sys
from pathlib import Path

from mpiapps.tasks import executors

COLORS = ("#4c78a8", "#f58518")
Box = tuple[str, str]  # title, note
WIDTH, STEP, HEIGHT, MARGIN = 760, 84, 56, 14


def flow(*rows: list[Box], ordered: bool = True) -> str:
    """Return an SVG of rows of boxes, with arrows within a row if `ordered`.

    Without, they are in the first row only.
    """
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH}'
        f' {len(rows) * STEP + 10}" font-family="sans-serif" font-size="12"'
        ' text-anchor="middle">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for i, row in enumerate(rows):
        lines += _row(row, MARGIN + STEP * i, COLORS[i], ordered or i == 0)
    return "\n".join([*lines, "</svg>", ""])


def _row(row: list[Box], y: int, color: str, arrows: bool) -> list[str]:
    step, lines = WIDTH / len(row), []
    for j, (title, note) in enumerate(row):
        x = j * step + MARGIN
        middle = x + step / 2 - MARGIN
        lines += [
            f'<rect x="{x:g}" y="{y}" width="{step - 2 * MARGIN:g}" height="{HEIGHT}"'
            f' rx="4" fill="{color}" fill-opacity="0.25" stroke="{color}"/>',
            f'<text x="{middle:g}" y="{y + 24}">{title}</text>',
            f'<text x="{middle:g}" y="{y + 42}" font-size="10">{note}</text>',
        ]
        if j and arrows:
            lines.append(
                f'<path d="M{x - 26:g} {y + 28}h22m-6 -5l6 5l-6 5" fill="none"'
                ' stroke="black"/>'
            )
    return lines


def run_life() -> str:
    """Return the states of a run on a cluster, which is requeued once."""
    return flow(
        [
            ("pending", "mpiapps submit"),
            ("running", "first start"),
            ("warned", "before the time limit"),
            ("saved", "checkpoint, exit 75"),
            ("requeued", "by the job script"),
        ],
        [
            ("pending", "the same run"),
            ("running", "from the checkpoint"),
            ("done", "record, exit 0"),
        ],
    )


def engine() -> str:
    """Return the task engine, and what its executors are."""
    own = {
        executors.static: "every size-th task",
        executors.counter: "free ranks take",
        executors.manager: "rank 0 sends one",
        executors.teams: "several ranks",
    }
    return flow(
        [
            ("tasks", "numbered, with costs"),
            ("executor", "one of those below"),
            ("function", "of one task"),
            ("journal", "what is done; resume"),
            ("merge", "in the order of tasks"),
        ],
        [
            *((function.__name__, note) for function, note in own.items()),
            ("loky", "of joblib"),
            ("dask", "workers of Dask"),
        ],
        ordered=False,
    )


def main() -> int:
    """Write the figures; return the exit code."""
    directory = Path(sys.argv[1])
    (directory / "run-life.svg").write_text(run_life())
    (directory / "task-engine.svg").write_text(engine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
