"""Estimate pi with random darts: the first program to read.

Each rank counts the darts of its share that hit the quarter circle. Dart n is a
function of the seed and n, so the total is identical on any number of ranks. docs/pi.md
starts from a version of 20 lines.
"""

from __future__ import annotations

import logging
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpiapps.app import Program, Result, main, option
from mpiapps.device.choice import DEVICES

if TYPE_CHECKING:
    from collections.abc import Callable

    from mpiapps.app.context import RunContext
    from mpiapps.comm.world import World
    from mpiapps.device.choice import Device

log = logging.getLogger("mpiapps.pi")

MAX_NARROW = 10**13  # darts up to which 16-bit coordinates are fine enough
MAX_DEVICE_CHUNK = 2**32  # darts of a task on a device: milliseconds; a CPU: seconds
MIN_STRATA_SAMPLES = 512  # 16 x 16 cells; with fewer, the error estimate is unreliable


@dataclass(frozen=True)
class Options:
    """Number, kind and distribution of the darts."""

    samples: int = option(
        10**9, "number of darts on all ranks", type="count", min=1, max=10**18
    )
    seed: int = option(
        0, "seed of the random numbers", type="count", min=0, max=2**32 - 1
    )
    method: str = option(
        "darts",
        "darts: independent points; strata: two points in each cell of a grid",
        choices=("darts", "strata"),
    )
    schedule: str = option(
        "static",
        "static: cyclic distribution of tasks; dynamic: next task to a free rank",
        choices=("static", "dynamic"),
    )
    device: str = option(
        "cpu",
        "where the darts are counted: all ranks' cores, or their CUDA devices",
        choices=DEVICES,
        changeable=True,
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options are inconsistent."""
    if options.method == "strata" and options.samples < MIN_STRATA_SAMPLES:
        raise ValueError(
            f"--samples {options.samples}: --method strata needs at least"
            f" {MIN_STRATA_SAMPLES} to estimate its error; use --method darts"
        )
    if options.method == "strata" and options.device != "cpu":
        raise ValueError(
            f"--device {options.device}: --method strata compares in floating point,"
            " which a device rounds differently, and needs only the cells along the"
            " circle; use --device cpu"
        )


def run(ctx: RunContext, options: Options) -> Result:
    """Count hits on all ranks and estimate pi. Collective."""
    from mpiapps.kernels import pi as kernels
    from mpiapps.kernels.jit import is_cached
    from mpiapps.kernels.pi_estimate import estimate_darts, estimate_strata
    from mpiapps.tasks.range_sum import MAX_CHUNK, sum_range

    # Device: a kernel with the same bits, and tasks that are worth its start.
    count_darts, max_chunk, device = kernels.count_darts, MAX_CHUNK, None
    device_notes: list[str] = []
    if options.device == "cuda":
        device, count_darts = _on_device(ctx.world)
        max_chunk = MAX_DEVICE_CHUNK

    # Partition: a range of numbered darts, or of rows of cells.
    strata, wide = options.method == "strata", options.samples > MAX_NARROW
    side = math.isqrt(options.samples // 2)  # cells per side
    n, unit = (side, "rows") if strata else (options.samples, "darts")

    # Kernel: hits in a part of the range, and cells that the circle splits.
    def count(part: range) -> tuple[int, int]:
        if strata:
            return kernels.count_strata(options.seed, 1, part.start, part.stop, side)
        return count_darts(options.seed, 0, part.start, part.stop, wide), 0

    kernel = kernels.count_strata if strata else kernels.count_darts
    with ctx.compiling(not is_cached(kernel)):
        count(range(5 if device else 0))  # a device has a kernel for complete indices

    # Communication: an exact sum of integers, and a gather of one report per rank.
    world = ctx.world
    counts = sum_range(
        *(ctx, n, count),
        width=2,
        schedule=options.schedule,
        unit=unit,
        max_chunk=max_chunk,
    )
    own_hits = int(counts.own[0])
    row = {"rank": world.rank, "host": world.host, unit: counts.units, "hits": own_hits}
    row["seconds"] = world.timers.seconds["kernel"]
    if device:
        row["device"], device_notes = f"{device.index}: {device.name}", device.notes
    log.info("%d hits in %d %s", own_hits, counts.units, unit)
    ranks = world.comm.gather(row, root=world.root)
    if ranks is not None:
        log.info("gathered: %s", [report["hits"] for report in ranks])

    # Result.
    hits, split = (int(total) for total in counts.total)
    if strata:
        values, notes = estimate_strata(hits, split, side, options.samples)
    else:
        values, notes = estimate_darts(hits, options.samples, 32 if wide else 16)
    return Result(values, ranks or [], notes + device_notes)


def _on_device(world: World) -> tuple[Device, Callable[..., int]]:
    """Return this rank's device, and its `count_darts`. Collective."""
    from mpiapps.comm.rank_device import choose_rank_device

    device = choose_rank_device(world)
    from mpiapps.device.darts import count_darts

    return device, count_darts


PROGRAM = Program("pi", "Estimate pi with random darts.", Options, run, check)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
