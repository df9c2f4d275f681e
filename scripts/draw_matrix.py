"""Draw the figures of docs/matrix.md and own-programs.md from layouts and schedules.

usage: draw_matrix.py DIRECTORY
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from mpiapps.comm.partition import blocks
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.schedule import GridPosition, summa

COLORS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#b279a2", "#9d755d"]
CELL = 14
# x y w h colour opacity label
Box = tuple[float, float, float, float, str, float, str]
Boxes = list[Box]


def owners(layout: Layout) -> Boxes:
    """Return one square per element, in the colour and with the number of its rank."""
    boxes: Boxes = []
    for rank in layout.ranks:
        coords = layout.coords(rank)
        if coords is None:
            continue
        boxes += [
            (j, i, 1, 1, COLORS[rank % len(COLORS)], 0.85, str(rank))
            for i in layout.rows.indices(coords[0]).tolist()
            for j in layout.cols.indices(coords[1]).tolist()
        ]
    return boxes


def svg(
    parts: Iterable[tuple[str, float, float, Boxes]], width: float, height: float
) -> str:
    """Return an SVG of boxes; each part has a title and an origin in cells."""
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width * CELL:g}'
        f' {height * CELL:g}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for title, x0, y0, boxes in parts:
        lines.append(
            f'<text x="{x0 * CELL:g}" y="{(y0 - 0.5) * CELL:g}">{title}</text>'
        )
        lines += [
            f'<rect x="{(x0 + x) * CELL:g}" y="{(y0 + y) * CELL:g}"'
            f' width="{w * CELL:g}" height="{h * CELL:g}" fill="{color}"'
            f' fill-opacity="{opacity:g}" stroke="white" stroke-width="0.5"/>'
            for x, y, w, h, color, opacity, _ in boxes
        ]
        lines += [
            f'<text x="{(x0 + x + w / 2) * CELL:g}" y="{(y0 + y + h / 2) * CELL + 3:g}"'
            f' font-size="9" text-anchor="middle">{label}</text>'
            for x, y, w, h, _, _, label in boxes
            if label
        ]
    return "\n".join([*lines, "</svg>", ""])


def layouts() -> str:
    """Return the three kinds of layouts of a 12 x 12 matrix on 6 ranks."""
    n, kinds = (
        12,
        {
            "rows": Layout.blocks((12, 12), (6, 1)),
            "blocks, grid 2 x 3": Layout.blocks((12, 12), (2, 3)),
            "block-cyclic, blocks of 2": Layout.cyclic((12, 12), 6, 2),
        },
    )
    parts = [
        (title, 1 + number * (n + 2), 2.0, owners(layout))
        for number, (title, layout) in enumerate(kinds.items())
    ]
    return svg(parts, 3 * (n + 2), n + 3)


def steps() -> str:
    """Return the panels that rank 3 of a 2 x 2 grid receives in SUMMA."""
    n, width = 12, 3
    a, b, c = Grid(2, 2).layouts(n, n, n)
    position = GridPosition(1, 1, 2, 2, a.rows.count(1), b.cols.count(1))
    parts: list[tuple[str, float, float, Boxes]] = []
    for number, panel in enumerate(summa(a.cols, b.rows, range(n), position, width)):
        k = panel[-1].k
        x, grey = 1 + number * (n + 4.0), "#dddddd"
        top: Boxes = [(0, 0, n, n, grey, 1, "")]
        left: Boxes = [(0, 0, n, n, grey, 1, "")]
        for step in panel[:-1]:
            if step.comm == "row":
                color = COLORS[2 * position.i + step.root]
                label = str(2 * position.i + step.root)
                box: Box = (step.k.start, n / 2, len(step.k), n / 2, color, 0.85, label)
                left.append(box)
            else:
                color = COLORS[2 * step.root + position.j]
                label = str(2 * step.root + position.j)
                box = (n / 2, step.k.start, n / 2, len(step.k), color, 0.85, label)
                top.append(box)
        block_of_c: Boxes = [
            (0, 0, n, n, grey, 1, ""),
            (n / 2, n / 2, n / 2, n / 2, COLORS[3], 0.25 * (number + 1), "3"),
        ]
        parts += [
            (f"k {k.start} to {k.stop}: A", x, 2, left),
            ("B", x, n + 4.0, top),
            ("C", x, 2 * n + 6.0, block_of_c),
        ]
    assert c.shape == (n, n)
    return svg(parts, 4 * (n + 4), 3 * n + 7)


def halo() -> str:
    """Return the blocks of a periodic grid, and the block of rank 4 with its halo."""
    n, side = 9, 3  # indices and ranks in each dimension
    cuts = blocks(n, side)
    rank_of = [[side * i + j for j in range(side)] for i in range(side)]
    color = {r: COLORS[r % len(COLORS)] for row in rank_of for r in row}
    whole: Boxes = [
        (j, i, 1, 1, color[r], 0.85, str(r))
        for ranks, rows in zip(rank_of, cuts, strict=True)
        for r, cols in zip(ranks, cuts, strict=True)
        for i in rows
        for j in cols
    ]
    apart: Boxes = [
        (x + 0.7 * (x // side), y + 0.7 * (y // side), w, h, c, opacity, label)
        for x, y, w, h, c, opacity, label in whole
    ]
    inner = range(side - 1, 2 * side + 1)
    around: Boxes = [
        (x - side + 1, y - side + 1, w, h, c, 0.85 if label == "4" else 0.4, label)
        for x, y, w, h, c, _, label in whole
        if x in inner and y in inner
    ]
    x = 1 + n + 2
    parts = [
        ("array on the root", 1, 2.0, whole),
        ("scatter: a block per rank", x, 2.0, apart),
        ("rank 4 and its halo", x + n + 4.0, 2.0, around),
    ]
    return svg(parts, x + n + 4 + 9, n + 4.5)


def main() -> int:
    """Write the figures; return the exit code."""
    directory = Path(sys.argv[1])
    (directory / "matrix-layouts.svg").write_text(layouts())
    (directory / "matrix-summa.svg").write_text(steps())
    (directory / "halo.svg").write_text(halo())
    return 0


if __name__ == "__main__":
    sys.exit(main())
