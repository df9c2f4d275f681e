"""Cost model of a product on any number of ranks; needs no data and no MPI."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from mpiapps.base.platforms import PATHS, PLATFORMS
from mpiapps.linalg.call_cost import Call, Network
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.lower_bound import lower_bound
from mpiapps.linalg.product_choice import SUMMA, WIDTH, Choice, Product, rank_choices
from mpiapps.linalg.schedule import Step, comm_sizes, product

Calls = Counter[Call]
MAX_CALLS = 1_500_000  # of a rank; to count them takes about ten seconds


@dataclass(frozen=True)
class Machine:
    """Speed of one rank.

    Attributes
    ----------
    flops, bandwidth, latency : float
        flop/s of gemm, byte/s received, and s per message.
    reading : float
        byte/s of a matrix that a product with a vector reads from memory.
    network : Network, optional
        Of a platform: the time of a call is that of its messages. Default: `latency` is
        that of the whole call, as `calibrate` measures it.
    """

    flops: float = 50e9
    bandwidth: float = 5e9
    latency: float = 5e-6
    reading: float = 16e9
    network: Network | None = None

    @classmethod
    def of(cls, name: str) -> Machine:
        """Return the speed of a rank of a platform, or the default one without name."""
        if not name:
            return cls()
        platform = PLATFORMS[name]
        network = Network(
            platform.bandwidth,
            platform.far_latency,
            platform.near_latency,
            PATHS[platform.topology].hosts,
        )
        speeds = platform.flops, platform.bandwidth, platform.far_latency
        return cls(*speeds, platform.reading, network)

    def communication(self, received: int, messages: int, calls: Calls) -> float:
        """Return the seconds of calls: in all, `received` bytes and `messages`."""
        if self.network is None:
            return received / self.bandwidth + messages * self.latency
        network = self.network
        return sum(count * call.seconds(network) for call, count in calls.items())


@dataclass(frozen=True)
class Plan:
    """Algorithm and cost of a product, for the busiest of the ranks examined.

    Attributes
    ----------
    received, messages : int
        Bytes that a rank receives; broadcasts and exchanges that it takes part in.
    memory : int
        Peak memory of a rank in bytes, panels included.
    bound : float
        Lower bound of the bytes that some rank moves, for any algorithm.
    estimates : dict of str to float
        Rough seconds of each algorithm, by which the first one was chosen.
    calls : Counter of Call
        Of rank 0, whose blocks are largest.
    """

    choice: Choice
    received: int
    messages: int
    flops: int
    memory: int
    bound: float
    estimates: dict[str, float]
    calls: Calls

    @property
    def grid(self) -> Grid:
        """The process grid."""
        return self.choice.grid

    def seconds(self, machine: Machine) -> float:
        """Return the time without overlap of communication and computation."""
        return self.flops / machine.flops + machine.communication(
            self.received, self.messages, self.calls
        )

    def values(self, machine: Machine) -> dict[str, Any]:
        """Return the plan as values of the run record."""
        return {
            "algorithm": self.choice.algorithm,
            "estimates": self.estimates,
            "grid": [self.grid.pm, self.grid.pn, self.grid.pk],
            "memory": self.memory,
            "received": self.received,
            "messages": self.messages,
            "flops": self.flops,
            "lower_bound": self.bound,
            "times_lower_bound": self.received / self.bound if self.bound else 1.0,
            "seconds": self.seconds(machine),
            "machine": [machine.flops, machine.bandwidth, machine.latency],
        }


def plan(  # noqa: PLR0913, PLR0917 - the sizes of a product have names
    m: int,
    n: int,
    k: int,
    size: int,
    itemsize: int = 8,
    memory: float = math.inf,
    *,
    gram: bool = False,
) -> Plan:
    """Return the cost of a product on `size` ranks, from its schedule.

    The operands are in the layouts that the algorithm needs. Examines the ranks at the
    corners of the grid and next to the first: blocks are largest on the first rank and
    smallest on the last.
    """
    ranked = rank_choices(Product(m, n, k, size, itemsize, memory, gram=gram))
    choice = ranked[0][1]
    grid = choice.grid
    rows_at = {0, min(1, grid.pm - 1), grid.pm - 1}
    cols_at = {0, min(1, grid.pn - 1), grid.pn - 1}
    ranks = {i * grid.pn + j for i in rows_at for j in cols_at} | {grid.size - 1}
    counts = [count(choice, rank, size, gram=gram) for rank in sorted(ranks)]
    received, messages, flops = (max(values) for values in zip(*counts, strict=True))
    elements = choice.memory()
    if choice.algorithm == SUMMA:
        rows, cols = choice.layouts[0].rows.count(0), choice.layouts[1].cols.count(0)
        elements += 2 * WIDTH * (rows + cols)
    bound = lower_bound(m, n, k, size) * itemsize
    estimates: dict[str, float] = {}
    for seconds, other in ranked:
        estimates.setdefault(other.algorithm, seconds)
    return Plan(
        choice,
        received * itemsize,
        messages,
        flops,
        elements * itemsize,
        bound,
        estimates,
        calls_of(choice, 0, size, itemsize, gram=gram),
    )


def count(
    choice: Choice, rank: int, size: int, *, gram: bool = False
) -> tuple[int, int, int]:
    """Return elements received, messages and flops of one rank's schedule.

    A broadcast or all-gather on a communicator of one rank sends nothing.
    """
    received = messages = flops = calls = 0
    sizes = comm_sizes(choice.grid, size)
    if choice.algorithm == SUMMA and choice.grid.pm * choice.grid.pn > 1:
        # Two broadcasts and a product for each of the panels of a layer.
        check_calls(3 * (choice.layouts[0].cols.n // choice.grid.pk // WIDTH))
    for panel in product(choice, rank, size, gram=gram):
        calls += len(panel)
        check_calls(calls)
        for step in panel:
            received, flops = received + step.received, flops + step.flops
            others = sizes.get(step.comm, 1) - 1
            messages += others if step.op in {"sum", "exchange"} else min(1, others)
    return received, messages, flops


def check_calls(calls: int) -> None:
    """Raise `ValueError` if a rank makes too many calls to count each. Local."""
    if calls > MAX_CALLS:
        raise ValueError(
            f"a rank makes more than {MAX_CALLS:,} calls of MPI, which a plan counts"
            " one by one; plan smaller matrices, and extrapolate"
        )


def calls_of(
    choice: Choice, rank: int, size: int, itemsize: int, *, gram: bool = False
) -> Calls:
    """Return the calls of one rank's schedule, with their sizes in bytes."""
    calls: Calls = Counter()
    for panel in product(choice, rank, size, gram=gram):
        for step in panel:
            if call := call_of(step, choice.grid, size, itemsize):
                calls[call] += 1
    return calls


def call_of(step: Step, grid: Grid, size: int, itemsize: int) -> Call | None:
    """Return the call of a step on `size` ranks, or `None` if it sends nothing."""
    ranks = comm_sizes(grid, size).get(step.comm, 1)
    if ranks == 1:
        return None
    if step.op in {"sum", "exchange"}:
        return Call("exchange", ranks, step.received * itemsize)
    return Call(step.op, ranks, step.size * itemsize)
