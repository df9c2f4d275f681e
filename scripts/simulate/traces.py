"""Traces of the matrix operations, from the schedules that run and plan them.

A trace is a list of actions of one rank: those of SimGrid's time-independent traces,
and those of `replay.cpp` on groups of ranks.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from itertools import islice

from mpiapps.linalg.call_cost import SMALL_REDUCTION, Call
from mpiapps.linalg.cost_model import call_of
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.product_choice import Choice
from mpiapps.linalg.schedule import Step, exchanged_shape, product
from mpiapps.linalg.traffic import Traffic

ITEMSIZE = 8


def group_of(name: str, grid: Grid, rank: int, size: int) -> str:
    """Return first rank, stride and number of ranks of a `Step.comm`."""
    layer = grid.pm * grid.pn
    i, j = divmod(rank % layer, grid.pn)
    start = rank // layer * layer
    return {
        "row": f"{start + i * grid.pn} 1 {grid.pn}",
        "col": f"{start + j} {grid.pn} {grid.pm}",
        "fibre": f"{i * grid.pn + j} {layer} {grid.pk}",
        "all": f"0 1 {size}",
    }[name]


def first_panels(
    choice: Choice, rank: int, size: int, panels: int = 0, *, gram: bool = False
) -> Iterator[Step]:
    """Yield the steps of a product; the first `panels` only, if not 0."""
    for steps in islice(product(choice, rank, size, gram=gram), panels or None):
        yield from steps


def product_trace(
    choice: Choice, rank: int, size: int, panels: int = 0, *, gram: bool = False
) -> Iterator[str]:
    """Yield the actions of `first_panels`."""
    for step in first_panels(choice, rank, size, panels, gram=gram):
        yield from _step(step, choice.grid, rank, size)


def _step(step: Step, grid: Grid, rank: int, size: int) -> Iterator[str]:
    call = call_of(step, grid, size, ITEMSIZE)
    if call is not None:
        group = group_of(step.comm, grid, rank, size)
        yield _action(call, group, step.root)
    if step.flops:
        yield f"compute {step.flops}"


def _action(call: Call, group: str, root: int = 0) -> str:
    """Return the action of a call in a group of ranks."""
    if call.op == "bcast":
        return f"bcast_in {group} {root} {call.size}"
    if call.op == "exchange":
        return f"exchange_in {group} {call.size // (call.ranks - 1)}"
    if call.op == "allgather":
        return f"allgather_in {group} {call.size // call.ranks}"
    if call.op == "allreduce" and call.size < SMALL_REDUCTION:
        return f"allreduce_in {group} {call.size}"
    if call.op == "allreduce":  # a reduce-scatter and an all-gather, both rings
        part = call.size // call.ranks
        return f"allreduce_ring_in {group} {part}"
    size = call.size // call.ranks
    return f"{call.op} {size} {size} {root}"


class Enough(Exception):
    """A trace has all calls that were wanted."""


class TracedTraffic(Traffic):
    """A `Traffic` that also keeps the actions of its rank.

    Raises `Enough` at the call after the first `limit`.

    Attributes
    ----------
    actions : list of str
    """

    def __init__(
        self, rank: int, size: int, group: str = "", limit: int = sys.maxsize
    ) -> None:
        super().__init__(rank, size)
        self.actions: list[str] = []
        self._group = group or f"0 1 {size}"
        self._left, self._root = limit, 0

    def _add(self, received: int, call: Call, messages: int = 1) -> None:
        if self.size == 1:
            return
        if not self._left:
            raise Enough
        self._left -= 1
        super()._add(received, call, messages)
        self.actions.append(_action(call, self._group, self._root))
        self._root = 0

    def expect(self, calls: int) -> None:
        """Do nothing: a trace may have the first of many calls."""

    def broadcast(self, size: int, root: int = 0) -> None:
        """Add a broadcast."""
        self._root = root if size else 0
        super().broadcast(size, root)

    def include(self, group: Traffic) -> None:
        """Add the traffic of a group, and its actions."""
        super().include(group)
        self.actions += getattr(group, "actions", [])

    def group(self, first: int, size: int, stride: int = 1) -> Traffic:
        """Return the traffic of this rank among `size` ranks from `first` on."""
        rank = (self.rank - first) // stride
        return TracedTraffic(rank, size, f"{first} {stride} {size}")

    def compute(self, flops: float) -> None:
        """Add computation."""
        if flops:
            self.actions.append(f"compute {round(flops)}")

    def move(self, old: Layout, new: Layout, itemsize: int) -> None:
        """Add a redistribution, message by message."""
        if old.matches(new):
            return
        self._without_actions(super().move, old, new, itemsize)
        for shift in range(1, self.size):
            to, source = (
                (self.rank + shift) % self.size,
                (self.rank - shift) % self.size,
            )
            out = math.prod(exchanged_shape(new, to, old, self.rank)) * itemsize
            come = math.prod(exchanged_shape(new, self.rank, old, source)) * itemsize
            if out or come:
                self.actions.append(f"swap {to} {out} {source} {come}")

    def swap(self, to: int, out: int, source: int, received: int) -> None:
        """Add a message to a rank, and one from a rank; of 0 bytes: none."""
        self._without_actions(super().swap, to, out, source, received)
        first, stride, _ = map(int, self._group.split())
        if out or received:
            ranks = first + stride * to, first + stride * source
            self.actions.append(f"swap {ranks[0]} {out} {ranks[1]} {received}")

    def _without_actions(self, add: Callable[..., None], *arguments: object) -> None:
        before = len(self.actions)
        add(*arguments)
        del self.actions[before:]
