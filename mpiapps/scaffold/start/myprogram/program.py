"""Count the primes below a number: replace this by a computation of your own."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpiapps.app import Program, Result, main, option

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext


@dataclass(frozen=True)
class Options:
    """The options of the command line."""

    n: int = option(10**6, "count the primes below N", type="count", min=0, max=10**9)


def run(ctx: RunContext, options: Options) -> Result:
    """Count on all ranks. Collective."""
    import numpy as np

    from mpiapps.tasks.range_sum import sum_range

    # Kernel: numbers in a part of the range that no smaller number divides.
    def count(part: range) -> list[int]:
        numbers = np.arange(max(part.start, 2), max(part.stop, 2))
        is_prime = np.ones(len(numbers), bool)
        for divisor in range(2, math.isqrt(part.stop) + 1):
            is_prime &= (numbers % divisor != 0) | (numbers == divisor)
        return [int(np.count_nonzero(is_prime))]

    # Partition and communication: the parts of range(n) on the ranks, and an exact sum.
    # It also shows the progress, and saves and resumes with --checkpoint FILE.
    counts = sum_range(ctx, options.n, count, unit="numbers")

    # Result: of the root, which prints it and writes it to the record.
    return Result({"primes": int(counts.total[0])})


PROGRAM = Program("myprogram", "Count the primes below a number.", Options, run)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
