"""What a rank receives in an operation, without data; needs no MPI."""

from __future__ import annotations

import math
from collections import Counter

from mpiapps.linalg.call_cost import Call
from mpiapps.linalg.cost_model import call_of, check_calls
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.product_choice import Product, choose_product
from mpiapps.linalg.schedule import exchanged_shape, product


class Traffic:
    """Bytes and messages of one of `size` ranks, added up. All methods are local.

    Parameters
    ----------
    rank, size : int

    Attributes
    ----------
    received : int
        Bytes. Those of an all-reduce of x bytes are ``2 x (1 - 1/P)``, the least that
        any algorithm needs.
    calls : Counter of Call
        How often this rank makes each call.
    messages : int
        Calls of collectives, and exchanges with one rank. Not counted are comparisons
        of arguments, of 24 bytes.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size
        self.received = self.messages = self._call_count = 0
        self.calls: Counter[Call] = Counter()

    def _add(self, received: int, call: Call, messages: int = 1) -> None:
        if self.size > 1:
            self.received += received
            self.messages += messages
            self.calls[call] += 1
            self._call_count += 1
            check_calls(self._call_count)

    def group(self, first: int, size: int, stride: int = 1) -> Traffic:
        """Return the traffic of this rank among `size` ranks from `first` on.

        Those of a process column are `stride` apart.
        """
        return Traffic((self.rank - first) // stride, size)

    def include(self, group: Traffic) -> None:
        """Add the traffic of this rank in a group of the ranks."""
        self.received += group.received
        self.messages += group.messages
        for call, count in group.calls.items():  # faster than `update`
            self.calls[call] += count
        self._call_count += group._call_count
        check_calls(self._call_count)

    def expect(self, calls: int) -> None:
        """Raise `ValueError` if `calls` more exceed the limit of `check_calls`."""
        check_calls(self._call_count + calls)

    def compute(self, flops: float) -> None:
        """Add computation between messages, which only traces of them need."""

    def all_reduce(self, size: int) -> None:
        """Add an all-reduce of `size` bytes."""
        call = Call("allreduce", self.size, size)
        self._add(2 * (size - size // self.size), call)

    def broadcast(self, size: int, root: int = 0) -> None:
        """Add a broadcast of `size` bytes, if there are any."""
        if size:
            call = Call("bcast", self.size, size)
            self._add(size if self.rank != root else 0, call)

    def all_gather(self, total: int, own: int) -> None:
        """Add an all-gather of `total` bytes, of which this rank has its own."""
        self._add(total - own, Call("allgather", self.size, total))

    def gather(self, size: int) -> None:
        """Add a gather of `size` bytes of each rank to rank 0."""
        call = Call("gather", self.size, size * self.size)
        self._add(0 if self.rank else size * (self.size - 1), call)

    def scatter(self, size: int) -> None:
        """Add a scatter of `size` bytes for each rank from rank 0."""
        call = Call("scatter", self.size, size * self.size)
        self._add(size if self.rank else 0, call)

    def exchange(self, received: int, messages: int) -> None:
        """Add messages from single ranks."""
        self._add(received, Call("exchange", messages + 1, received), messages)

    def swap(self, _to: int, _out: int, _source: int, received: int) -> None:
        """Add a message to a rank, and one from a rank; of 0 bytes: none."""
        if received:
            self.exchange(received, 1)

    def move(self, old: Layout, new: Layout, itemsize: int) -> None:
        """Add a redistribution, if the layouts differ."""
        if old.matches(new):
            return
        there = math.prod(exchanged_shape(new, self.rank, old, self.rank))
        elements = math.prod(new.local_shape(self.rank)) - there
        self.exchange(elements * itemsize, self.size - 1)

    def product(self, a: Layout, b: Layout, itemsize: int) -> Layout:
        """Add a product of matrices in these layouts; return that of the result."""
        (m, k), n = a.shape, b.shape[1]
        choice = choose_product(Product(m, n, k, self.size, itemsize, a=a, b=b))
        operands = zip(choice.replicated, (a, b), choice.layouts[:2], strict=True)
        for whole, old, new in operands:
            if not whole:
                self.move(old, new, itemsize)
        for steps in product(choice, self.rank, self.size):
            for step in steps:
                if call := call_of(step, choice.grid, self.size, itemsize):
                    messages = call.ranks - 1 if call.op == "exchange" else 1
                    self._add(step.received * itemsize, call, messages)
        return choice.layouts[2]
