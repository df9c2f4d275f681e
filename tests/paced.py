"""Sum the squares below `n`, in no less than `duration` seconds.

The program of pi, with a kernel that sleeps: how long a job takes is known, however
fast its hosts are, and so is its result.
"""

import sys
import time
from dataclasses import dataclass

from mpiapps.app import Program, Result, main, option


@dataclass(frozen=True)
class Options:
    """Size, duration and distribution of the sum."""

    n: int = option(100_000, "numbers to square", type="count", min=1)
    duration: int = option(1, "on all ranks, s", type="count", min=0)
    schedule: str = option("static", "as of pi", choices=("static", "dynamic"))


def run(ctx, options):
    """Return the sum. Collective."""
    from mpiapps.tasks.range_sum import sum_range

    pause = options.duration * ctx.world.size / options.n  # of one number on one rank

    def squares(part):
        time.sleep(len(part) * pause)
        return (sum(i * i for i in part),)

    words = {"schedule": options.schedule, "unit": "numbers"}
    total = sum_range(ctx, options.n, squares, **words).total[0]
    return Result({"sum": int(total)})


PROGRAM = Program("paced", "Sum squares at a given pace.", Options, run)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
