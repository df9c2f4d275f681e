"""Counters that give each task number to one rank, with a part on each host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, cast

import numpy as np

from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.comm.world import World
from mpiapps.launch.mpi import MPI

NONE_LEFT = 2**62


class TaskCounter(Protocol):
    """Numbers from 0, each for one rank."""

    def next(self) -> int:
        """Return the next number."""

    def stop(self) -> None:
        """Let the other ranks get numbers of at least `n`."""

    def free(self) -> None:
        """Free the memory. Collective."""


class GlobalCounter:
    """Number tasks in the memory of rank 0: mpi4py's `util.sync.Counter`. Collective.

    Ranks get the numbers in their order. Cost: an 8-byte fetch-and-add per number, all
    of them at one rank.

    Parameters
    ----------
    ranks : MPI.Intracomm or World
    n : int
        Number of tasks.
    """

    def __init__(self, ranks: Ranks, n: int) -> None:
        from mpi4py.util.sync import Counter

        self._n = n
        self._counter = Counter(comm=communicator(ranks), typecode="q")

    def next(self, step: int = 1) -> int:
        """Return the next number, the first of `step`."""
        return int(self._counter.next(step))

    def stop(self) -> None:
        """Let the other ranks get no further number below `n`."""
        self._counter.next(self._n)

    def free(self) -> None:
        """Free the memory. Collective."""
        self._counter.free()


class HostCounter:
    """Number tasks on each host, which takes one per rank of a `GlobalCounter`.

    Collective. Ranks of a host get numbers in order, those of several do not. Cost: a
    lock in the host's memory per number, and a fetch-and-add at rank 0 for each
    `node.size` numbers: with 0.5 us each, one global counter is busy with 2,000 ranks
    whose tasks take 1 ms (docs/scale.md).

    Parameters
    ----------
    ranks : MPI.Intracomm or World
    n : int
        Number of tasks.
    node : MPI.Intracomm
        The ranks of this host.
    """

    def __init__(self, ranks: Ranks, n: int, node: MPI.Intracomm) -> None:
        size = communicator(ranks).size
        # With fewer tasks than ranks, the hosts share them evenly.
        self._step = min(node.size, max(1, n * node.size // size))
        self._n = n
        self._global = GlobalCounter(ranks, n)
        own = 16 if node.rank == 0 else 0
        self._window = MPI.Win.Allocate_shared(max(own, 1), 1, comm=node)
        memory = cast(memoryview, self._window.Shared_query(0)[0])
        # The next number of this host, and the end of those that it has taken.
        self._taken = np.ndarray(2, np.int64, buffer=memory)
        if node.rank == 0:
            with self._locked():
                self._taken[:] = 0
        node.Barrier()

    def next(self) -> int:
        """Return the next number of this host."""
        with self._locked():
            number, end = map(int, self._taken)
            if number == end:
                number = self._global.next(self._step)
                self._taken[1] = number + self._step
            self._taken[0] = number + 1
        return number

    def stop(self) -> None:
        """Let the other ranks get no further number below `n`.

        But those that other hosts have taken: at most one per rank of theirs.
        """
        self._global.stop()
        with self._locked():
            self._taken[:] = self._n, NONE_LEFT

    def free(self) -> None:
        """Free the memory. Collective."""
        self._window.Free()
        self._global.free()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._window.Lock(0, MPI.LOCK_EXCLUSIVE)
        self._window.Sync()
        try:
            yield
        finally:
            self._window.Sync()
            self._window.Unlock(0)


@contextmanager
def task_counter(ranks: Ranks, n: int) -> Iterator[TaskCounter]:
    """Yield a counter for `n` tasks, which ranks may take in any order. Collective.

    It is freed, collectively, unless an error ends the block.
    """
    comm = communicator(ranks)
    if isinstance(ranks, World):
        node = ranks.node
    else:
        node = cast(MPI.Intracomm, comm.Split_type(MPI.COMM_TYPE_SHARED))
    one_host = node.size == comm.size
    counter = GlobalCounter(ranks, n) if one_host else HostCounter(ranks, n, node)
    yield counter
    counter.free()
    if not isinstance(ranks, World):
        node.Free()
