"""Reduce and its order: the same sum, to the last bit, on any number of ranks."""

import math
from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run

ORDER = (
    "the sum of floating-point numbers depends on their order, since each addition"
    " rounds: (a + b) + c is not a + (b + c). reduce adds partial sums, and these are"
    " others on another number of ranks. Gather the numbers and add them in one order"
    " (the one of a single rank), or exactly (math.fsum)"
)
PARTIAL = (
    "fsum adds exactly, but the partial sums that it got here are rounded already:"
    " gather the numbers themselves, and let rank 0 add them"
)
ROUNDED = (
    "rounding makes two sums alike only until one of them lies on the other side of a"
    " rounding boundary, and it costs digits: make the order, or the sum, exact"
)


def numbers(n: int) -> list[float]:
    """Return the numbers of the starting file."""
    return [1.0 / (i + 1) for i in range(n)]


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless all runs have one sum, and it is right."""
    first: dict[int, float] = {}
    for run in runs:
        n = int(run.job.arguments[0])
        total, exact = run.number(0, "total"), math.fsum(numbers(n))
        what = f"total = {total!r}"
        if abs(total - exact) > 1e-2 * abs(exact):
            raise run.wrong(
                f"{what}, not about {exact!r}",
                "rank 0 adds the numbers of all ranks, each of them once",
            )
        if abs(total - exact) > 1e-12 * abs(exact):
            raise run.wrong(f"{what}, and the exact sum is {exact!r}", ROUNDED)
        if first.setdefault(n, total) != total:
            raise run.wrong(
                f"{what}, and on 1 rank it is {first[n]!r}",
                PARTIAL if total == fsum_of_sums(n, run.ranks) else ORDER,
            )


def fsum_of_sums(n: int, ranks: int) -> float:
    """Return the exact sum of the rounded sums of the ranks."""
    parts = [numbers(n)[r * n // ranks : (r + 1) * n // ranks] for r in range(ranks)]
    return math.fsum(map(sum, parts))


EXERCISE = Exercise(
    "Reduce and its order",
    "07_reduce.py",
    examine,
    runs=tuple((p, (n,)) for n in ("0", "5", "1000", "3001") for p in (1, 2, 3, 4)),
    keep=("total",),
)
