"""Halo exchange: each rank needs the edge values of its neighbours, in each step."""

from collections.abc import Sequence
from itertools import pairwise

from mpiapps.learn.exercise import Exercise, Run

HINTS = {
    "none": "the cells beside the borders of the blocks never get their neighbours'"
    " values: before each step, send u[1] to the left and u[-2] to the right, and"
    " receive into u[0] and u[-1]",
    "once": "the halo is exchanged once, before the loop, but the neighbours' values"
    " change in each step: exchange in each step",
    "swapped": "the halo is exchanged, with the sides swapped: u[0] is the last cell of"
    " the left neighbour, and u[-1] the first of the right one",
}


def heat(n: int, steps: int, ranks: int = 1, halo: str = "right") -> list[float]:
    """Return the temperatures after some steps, with a right or wrong halo exchange.

    Two ends at 0, one unit of heat in the first half. `halo` is "right" or a key of
    `HINTS`.
    """
    ends = [r * n // ranks for r in range(ranks + 1)]
    start = [1.0 if i < n // 2 else 0.0 for i in range(n)]
    blocks = [[0.0, *start[a:b], 0.0] for a, b in pairwise(ends)]
    for step in range(steps):
        if halo != "none" and (halo != "once" or step == 0):
            edges = [(block[1], block[-2]) for block in blocks]
            for r, block in enumerate(blocks):
                left = edges[r - 1][1] if r else 0.0
                right = edges[r + 1][0] if r + 1 < ranks else 0.0
                swap = halo == "swapped"
                block[0], block[-1] = (right, left) if swap else (left, right)
        for block in blocks:
            inner = range(1, len(block) - 1)
            block[1:-1] = [
                block[i] + 0.25 * (block[i - 1] - 2 * block[i] + block[i + 1])
                for i in inner
            ]
    return [cell for block in blocks for cell in block[1:-1]]


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless all runs have the temperatures of a single rank."""
    for run in runs:
        n, steps = map(int, run.job.arguments)
        result, expected = run.items(0, "result"), heat(n, steps)
        if len(result) != n:
            raise run.wrong(
                f"rank 0 has {len(result)} cells in result, not {n}",
                "gather u[1:-1] of each rank, without the halo, and join the blocks",
            )
        far = [i for i in range(n) if abs(result[i] - expected[i]) > 1e-12]
        if not far:
            continue
        hint = _recognise(result, n, steps, run.ranks)
        cell = far[0]
        raise run.wrong(
            f"{len(far)} of {n} cells differ from those on 1 rank, first cell {cell}:"
            f" {result[cell]:.6g}, not {expected[cell]:.6g}",
            hint,
        )


def _recognise(result: list[float], n: int, steps: int, ranks: int) -> str:
    for halo, hint in HINTS.items():
        wrong = heat(n, steps, ranks, halo)
        if max(abs(a - b) for a, b in zip(result, wrong, strict=True)) < 1e-12:
            return hint
    if sorted(result) == sorted(heat(n, steps)):
        return "the blocks are joined in another order than that of the ranks"
    return (
        "in each step: exchange, then compute all new cells from old ones. Ranks 0 and"
        " size - 1 have no neighbour on one side (MPI.PROC_NULL), and a halo of 0 there"
    )


EXERCISE = Exercise(
    "Halo exchange",
    "10_halo.py",
    examine,
    runs=(
        *((ranks, ("24", "10")) for ranks in (1, 2, 3, 4)),
        (3, ("13", "0")),
        (4, ("13", "40")),
    ),
    keep=("result",),
)
