"""The cost of an operation on any number of ranks; needs no data."""

from __future__ import annotations

import math
import pkgutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mpiapps.linalg.cost_model import Calls, Machine, Plan, plan
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.operation import Operation
from mpiapps.linalg.traffic import Traffic


@dataclass(frozen=True)
class Work:
    """Flops, bytes that matrix-vector products read, and bytes of memory of a rank."""

    flops: float = 0
    read: float = 0
    memory: float = 0

    def then(self, other: Work) -> Work:
        """Return the work of both, one after the other."""
        flops, read = self.flops + other.flops, self.read + other.read
        return Work(flops, read, max(self.memory, other.memory))


@dataclass(frozen=True)
class OperationPlan:
    """Algorithm and cost of an operation, for the busiest of the ranks examined.

    Attributes
    ----------
    algorithm : str
    received, messages : int
        As those of `Traffic`.
    work : Work
        An estimate.
    calls : Counter of Call
        Of the rank that receives most.
    repeated : dict of str to OperationPlan
        Parts that may be repeated, as often as the elements of the matrix require.
    """

    algorithm: str
    received: int
    messages: int
    work: Work
    calls: Calls = field(default_factory=Counter)
    repeated: dict[str, OperationPlan] = field(default_factory=dict)

    def seconds(self, machine: Machine) -> float:
        """Return the time without overlap of communication and computation."""
        return (
            self.work.flops / machine.flops
            + self.work.read / machine.reading
            + machine.communication(self.received, self.messages, self.calls)
        )

    def values(self, machine: Machine) -> dict[str, Any]:
        """Return the plan as values of the run record."""
        return {
            "algorithm": self.algorithm,
            "memory": round(self.work.memory),
            **self._costs(machine),
            **{name: part._costs(machine) for name, part in self.repeated.items()},
            "machine": [
                *(machine.flops, machine.bandwidth, machine.latency),
                machine.reading,
            ],
        }

    def _costs(self, machine: Machine) -> dict[str, Any]:
        return {
            "received": self.received,
            "messages": self.messages,
            "flops": round(self.work.flops),
            "read": round(self.work.read),
            "seconds": self.seconds(machine),
        }


@dataclass(frozen=True)
class Problem:
    """A matrix to plan an operation for.

    Attributes
    ----------
    layout : Layout
    ranks : int
    dtype : dtype
    columns : int
        Right sides of a system.
    k : int
        Wanted eigenvalues or singular values.
    """

    layout: Layout
    ranks: int
    dtype: np.dtype[Any]
    columns: int = 1
    k: int = 0

    @property
    def m(self) -> int:
        """Number of rows."""
        return self.layout.shape[0]

    @property
    def n(self) -> int:
        """Number of columns."""
        return self.layout.shape[1]

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    @property
    def real_itemsize(self) -> int:
        """Bytes of its real part."""
        return self.itemsize // self.components

    @property
    def components(self) -> int:
        """Two for a complex dtype, else one."""
        return 2 if self.dtype.kind == "c" else 1

    @property
    def tall(self) -> Problem:
        """The matrix, transposed if it is wide."""
        return self if self.m >= self.n else replace(self, layout=self.layout.T)

    def plan(self, algorithm: str, schedule: Schedule, work: Work) -> OperationPlan:
        """Return the plan, from the schedule of the first ranks and the last one.

        `schedule` adds all messages to a `Traffic`; `work` is that of real numbers.
        """
        examined = {0, min(1, self.ranks - 1), self.ranks // 2, self.ranks - 1}
        counts = [Traffic(rank, self.ranks) for rank in sorted(examined)]
        for traffic in counts:
            if self.ranks > 1:
                schedule(traffic, self)
        return OperationPlan(
            algorithm,
            max(traffic.received for traffic in counts),
            max(traffic.messages for traffic in counts),
            replace(work, flops=work.flops * self.components**2),
            max(counts, key=lambda traffic: traffic.received).calls,
        )


# Adds all messages of an operation to those of a rank.
Schedule = Callable[[Traffic, Problem], None]


def plan_operation(  # noqa: PLR0913 - the options of --plan
    operation: Operation,
    sizes: Sequence[int],
    ranks: int,
    dtype: str,
    *,
    memory: float = math.inf,
    k: int = 0,
) -> Plan | OperationPlan:
    """Return the plan of an operation on random matrices of these sizes.

    A `Plan` of a product, which chooses among algorithms and grids.

    `memory` is the limit of a rank in bytes. Raises `MemoryError` if it does not
    suffice, and `ValueError` for a `k` that the operation refuses, or if there are more
    calls than `cost_model.MAX_CALLS`.
    """
    if operation.product is not None:
        product, itemsize = operation.product(*sizes), np.dtype(dtype).itemsize
        return plan(*product, ranks, itemsize, memory, gram=1 in operation.operands)
    shapes = operation.shapes(*sizes)
    layout = Layout.balanced(shapes[0], ranks)
    problem = Problem(layout, ranks, np.dtype(dtype), shapes[-1][1], k)
    found: OperationPlan = pkgutil.resolve_name(operation.plan)(problem)
    if found.work.memory > memory:
        raise MemoryError(
            f"{found.algorithm} needs {found.work.memory:.3g} bytes on a rank, and"
            f" {memory:.3g} are allowed; use more ranks, or more memory per rank"
        )
    return found
