"""Pi by gather: each rank throws its darts, and the root adds up."""

import math
import re
from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run, shown

SIGMAS = 6.0


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless the root prints pi, from the darts of all ranks."""
    for run in runs:
        samples = int(run.job.arguments[0])
        for rank in range(run.ranks):
            _share(run, rank, samples)
        counts = run.items(0, "counts")
        _counts(run, counts, [run.number(r, "inside") for r in range(run.ranks)])
        _printed(run, counts, samples)


def _share(run: Run, rank: int, samples: int) -> None:
    n = run.number(rank, "n")
    if abs(n - samples / run.ranks) > 1:
        raise run.wrong(
            f"rank {rank} throws {n:g} of {samples} darts",
            "the ranks share the darts: each throws samples // size",
        )


def _counts(run: Run, counts: list[object], inside: list[float]) -> None:
    if counts != inside:
        raise run.wrong(
            f"rank 0 has counts = {shown(counts)}, and the ranks counted {inside}",
            "counts = comm.gather(inside, root=0) is the list of all counts, on rank 0",
        )
    if run.ranks > 2 and len(set(inside)) == 1:
        raise run.wrong(
            f"all ranks count {inside[0]:g}",
            "they throw the same darts, from one seed: seed with the rank as well, or"
            " not at all. (Exercise 9 is about this.)",
        )


def _printed(run: Run, counts: list[float], samples: int) -> None:
    n = sum(run.number(rank, "n") for rank in range(run.ranks))
    estimate = 4 * sum(counts) / n
    width = SIGMAS * math.sqrt(math.pi * (4 - math.pi) / samples)
    numbers = [float(text) for text in re.findall(r"\d+\.\d+", run.outputs[0])]
    for rank, output in enumerate(run.outputs[1:], 1):
        if re.search(r"\b\d\.\d\d", output):
            raise run.wrong(
                f"rank {rank} printed {shown(output.strip())}",
                "only rank 0 knows the counts of all, so it alone prints pi",
            )
    if not numbers:
        raise run.wrong("rank 0 printed no estimate", "print 4 * sum(counts) / darts")
    pi = numbers[-1]
    if run.ranks > 1 and abs(pi - estimate * run.ranks) < 1e-3:
        hint = "sum(counts) is of all ranks' darts: divide by n * size, not by n"
    elif run.ranks > 1 and abs(pi - estimate / run.ranks) < 1e-3:
        hint = "n * size darts were thrown in all: do not divide by the size twice"
    elif abs(estimate - math.pi) > width:
        hint = (
            f"a dart (x, y), both from random() in [0, 1), is inside if x * x + y * y"
            f" <= 1; {SIGMAS:g} standard errors are {width:.2g}"
        )
    else:
        hint = f"4 * sum(counts) / (n * size) is {estimate!r}"
    if abs(estimate - math.pi) > width or abs(pi - estimate) > 5e-3:
        raise run.wrong(f"rank 0 printed {pi}", hint)


EXERCISE = Exercise(
    "Pi by gather",
    "08_pi.py",
    examine,
    runs=tuple((ranks, ("60000",)) for ranks in (1, 2, 3, 4)),
    keep=("n", "inside", "counts"),
)
