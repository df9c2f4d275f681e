"""Estimate pi with random darts: the first program to read.

Each rank counts the darts of its share that fall into the quarter circle. The darts are
numbered, and dart n is the same whoever throws it, so the counts sum to the same bits
on any number of ranks. docs/pi.md leads here from the 20-line version.
"""

from __future__ import annotations

import logging
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, checkpoint, main, option
from mpiapps.app.progress import Progress, compiling

if TYPE_CHECKING:
    from mpiapps.comm.world import World

log = logging.getLogger("mpiapps.pi")

WIDE_FROM = 10**13  # darts; up to here 16-bit coordinates are fine enough
CHUNK = 2**24  # darts, or rows of cells, in a piece of work, at most
CHUNKS = 64  # pieces per rank, so that shares are even and progress is seen
LEAST_STRATA = 512  # 16 x 16 cells: below it the error bar means nothing


@dataclass(frozen=True)
class Options:
    """What to throw, and how."""

    samples: int = option(
        10**9, "darts over all ranks", parse="count", least=1, most=10**18
    )
    seed: int = option(
        0, "key of the random numbers", parse="count", least=0, most=2**32 - 1
    )
    method: str = option(
        "darts",
        "darts: independent points; strata: two points in each cell of a grid",
        choices=("darts", "strata"),
    )
    schedule: str = option(
        "static",
        "static: pieces dealt in turn; dynamic: the next piece to a free rank",
        choices=("static", "dynamic"),
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not go together. Local."""
    if options.method == "strata" and options.samples < LEAST_STRATA:
        raise ValueError(
            f"--samples {options.samples} is too few for --method strata, which needs"
            f" {LEAST_STRATA} or more to know its error; use --method darts"
        )


def run(world: World, options: Options) -> Result:
    """Count hits on all ranks and estimate pi. Collective."""
    import numpy as np
    from mpi4py import MPI

    from mpiapps.kernels.jit import is_cached
    from mpiapps.kernels.pi import count_darts, count_strata
    from mpiapps.kernels.pi_estimate import estimate_darts, estimate_strata

    strata, wide = options.method == "strata", options.samples > WIDE_FROM
    side = math.isqrt(options.samples // 2)  # cells along a side
    n, unit = (side, "rows") if strata else (options.samples, "darts")

    def count(part: range) -> tuple[int, int]:
        if strata:
            return count_strata(options.seed, 1, part.start, part.stop, side)
        return count_darts(options.seed, 0, part.start, part.stop, wide), 0

    cold = not is_cached(count_strata if strata else count_darts)
    with compiling(world, cold):
        count(range(0))

    # Partition: numbered darts, or rows of cells, in pieces; those that are left.
    saved = checkpoint.load(world, "pi", options)
    size = max(1, min(CHUNK, -(-n // (CHUNKS * world.size))))
    before = np.zeros(2, dtype=np.int64)  # hits, and cells that the circle splits
    if saved is not None:
        size, before = saved.state["size"], np.array(saved.state["hits"])
    mine = np.zeros_like(before)
    done, pieces = 0, -(-n // size)

    def state() -> dict[str, Any]:
        total = before + world.comm.allreduce(mine)
        return {"size": size, "hits": total.tolist()}

    # Kernel: this rank's pieces, one after the other.
    share = n if saved is None else n * (1 - saved.progress)
    with (
        world.timed("kernel"),
        Progress(world, share / world.size, unit, own=True) as progress,
    ):
        for piece in checkpoint.resumable(
            world, "pi", options, pieces, options.schedule, saved, state
        ):
            part = range(piece * size, min((piece + 1) * size, n))
            mine += count(part)
            done += len(part)
            progress.add(len(part))

    # Communication: each rank's report to the root, and an exact sum of integers.
    row = {"rank": world.rank, "host": world.host, unit: done, "hits": int(mine[0])}
    row["seconds"] = world.timers.seconds["kernel"]
    log.info("%d hits in %d %s", mine[0], done, unit)
    with world.timed("gather"):
        ranks = world.comm.gather(row, root=world.root)
        world.comm.Allreduce(MPI.IN_PLACE, mine, op=MPI.SUM)
    if ranks is not None:
        log.info("gathered: %s", [each["hits"] for each in ranks])

    # Result.
    hits, split = (int(number) for number in before + mine)
    if strata:
        values, notes = estimate_strata(hits, split, side, options.samples)
    else:
        values, notes = estimate_darts(hits, options.samples, 32 if wide else 16)
    # The report shows two digits of the error.
    digits = 2 - math.floor(math.log10(values["stderr"] or 1))
    return Result(values, ranks or [], notes, digits=min(max(10, digits), 17))


PROGRAM = Program("pi", "Estimate pi with random darts.", Options, run, check)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
