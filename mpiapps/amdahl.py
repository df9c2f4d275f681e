"""A program whose scaling is known: serial part, imbalance, communication by options.

Ranks sleep instead of computing, so the times hold on any number of cores;
``--virtual P`` returns the time on P ranks without waiting. It is the ground truth of
`mpiapps scaling`: docs/scaling.md.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpiapps.app import Program, Result, main, option

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext

MAX_VIRTUAL = 10_000


@dataclass(frozen=True)
class Options:
    """The parts of the run time."""

    work: float = option(1.0, "time of all work on one rank, in s", type=float)
    serial: float = option(0.05, "fraction of the work that one rank does alone")
    scaled: bool = option(False, "the parallel work grows with the number of ranks")
    imbalance: float = option(
        0.0, "excess of the slowest rank over the mean: 0.2 for 20 %"
    )
    latency: float = option(0.0, "communication per doubling of ranks, in s")
    exchange: float = option(0.0, "communication per further rank, in s")
    noise: float = option(0.0, "relative standard deviation of virtual times")
    seed: int = option(0, "seed of the noise", type="count", min=0, max=2**32 - 1)
    virtual: int = option(
        0, "return the time on this number of ranks; 0: measure on real ranks",
        type="count", min=0, max=MAX_VIRTUAL, metavar="P",
    )  # fmt: skip


def check(options: Options) -> None:
    """Raise `ValueError` if a part of the time is negative or not finite."""
    for name in ("work", "serial", "imbalance", "latency", "exchange", "noise"):
        value = getattr(options, name)
        if not 0 <= value < math.inf:
            raise ValueError(f"--{name} {value}: expected a finite number, 0 or more")
    for name in ("serial", "imbalance"):
        if getattr(options, name) > 1:
            raise ValueError(
                f"--{name} {getattr(options, name)}: a fraction is at most 1"
            )
    if options.noise and not options.virtual:
        raise ValueError("--noise needs --virtual P: real ranks have their own noise")


def parallel_seconds(options: Options, rank: int, ranks: int) -> float:
    """Return the time of the parallel work of one rank, in s.

    The times of the ranks fall linearly from ``1 + imbalance`` to ``1 - imbalance``
    times their mean.
    """
    mean = options.work * (1 - options.serial) / (1 if options.scaled else ranks)
    slope = 1 - 2 * rank / (ranks - 1) if ranks > 1 else 0.0
    return mean * (1 + options.imbalance * slope)


def communication_seconds(options: Options, ranks: int) -> float:
    """Return the time of communication: ``latency log2 P + exchange (P - 1)``, in s."""
    return options.latency * math.log2(ranks) + options.exchange * (ranks - 1)


def virtual_seconds(options: Options, ranks: int, run: int = 0) -> float:
    """Return the time on `ranks` ranks, in s: rank 0 is the slowest one.

    The noise is a function of seed, ranks and `run`, the number of the repeat.
    """
    seconds = (
        options.work * options.serial
        + parallel_seconds(options, 0, ranks)
        + communication_seconds(options, ranks)
    )
    if options.noise:
        import numpy as np

        generator = np.random.default_rng([options.seed, ranks, run])
        seconds *= math.exp(options.noise * generator.standard_normal())
    return seconds


def run(ctx: RunContext, options: Options) -> Result:
    """Wait as long as the work of this rank takes. Collective."""
    world = ctx.world
    if options.virtual:
        seconds = virtual_seconds(options, options.virtual)
        return Result({"virtual_ranks": options.virtual, "virtual_seconds": seconds})
    with world.timed("kernel"):
        if world.is_root:
            time.sleep(options.work * options.serial)
    with world.timed("wait"):
        world.comm.Barrier()
    with world.timed("kernel"):
        time.sleep(parallel_seconds(options, world.rank, world.size))
    with world.timed("communication"):
        world.comm.Barrier()
        time.sleep(communication_seconds(options, world.size))
    return Result({"model_seconds": virtual_seconds(options, world.size)})


PROGRAM = Program(
    "amdahl",
    "Wait as a program with known scaling does.",
    Options,
    run,
    check,
    resumable=lambda _options: False,
    virtual_seconds=virtual_seconds,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
