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
        if any(total == round(exact, digits) != exact for digits in range(12)):
            raise run.wrong(f"{what}, and the exact sum is {exact!r}", ROUNDED)
        if abs(total - exact) > 1e-12 * abs(exact):
            raise run.wrong(
                f"{what}, not about {exact!r}",
                "rank 0 adds the numbers of all ranks, each of them once",
            )
        if first.setdefault(n, total) != total:
            raise run.wrong(
                f"{what}, and on 1 rank it is {first[n]!r}",
                PARTIAL if _of_partial_sums(total, n, run.ranks) else ORDER,
            )


def _of_partial_sums(total: float, n: int, ranks: int) -> bool:
    """Return whether `total` is the exact sum of the rounded sums of the ranks."""
    parts = [numbers(n)[r * n // ranks : (r + 1) * n // ranks] for r in range(ranks)]
    sums = [_sum(part) for part in parts]
    return math.fsum(sums) == total != _sum(sums)


def _sum(numbers: list[float]) -> float:
    total = 0.0  # Python 3.12's sum does not add in the plain way
    for x in numbers:
        total += x
    return total


EXERCISE = Exercise(
    "Reduce and its order",
    "07_reduce.py",
    examine,
    # With 3001 numbers on 3 ranks, fsum of partial sums differs from their sum.
    runs=tuple((p, (n,)) for n in ("3001", "1000", "5", "0") for p in (1, 3, 4, 2)),
    keep=("total",),
)
