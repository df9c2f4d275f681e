"""Tasks shared over ranks, as `multiprocessing.Pool` shares them over processes.

::

    with Tasks(world.comm) as tasks:
        if tasks is not None:  # the root; the other ranks work until it is through
            for found in tasks.imap(function, items):
                ...

The root gives out tasks and takes in results; it does tasks itself only if it is alone.
Every rank runs the same script, so functions are sent by name, as `pickle` does it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

from mpiapps.base.errors import RankLeft
from mpiapps.comm.letters import Letters
from mpiapps.comm.mapper import Mapper
from mpiapps.comm.mpi import MPI
from mpiapps.comm.survive import RanksLost, survives
from mpiapps.comm.task import Chunk, do_chunk, unpickled
from mpiapps.comm.task_calls import Awaited, Call, freest, give_back
from mpiapps.comm.task_worker import Order, work

T = TypeVar("T")
ROOT = 0
ORDERS, REPORTS = 10, 20  # tags; the numbers after them are for large letters
WAITING = 0.05  # s of work that may wait at a worker, so that it does not wait itself
DEEPEST = 32  # chunks that a worker may have: of these, more than one only if short


class Tasks(Mapper):
    """Shares tasks over the ranks of a communicator. Collective to make and to leave.

    Parameters
    ----------
    comm : MPI.Intracomm
        Any: one made by ``comm.Split`` shares over its ranks alone. It is duplicated.
    meanwhile : callable, optional
        Called on the root, often, while it waits for results.

    Notes
    -----
    Entering returns this object on the root and ``None`` elsewhere, when the root has
    left. Cost: two messages a chunk of tasks; of short ones, for some chunks. A worker
    holds the next chunks while it does one if they are short, by what the last ones
    took, so it does not wait for the root, and no long task waits behind another. Idle
    ranks sleep between looks, up to 1 ms. Where a run survives the death of a rank
    (`mpiapps.comm.survive`), its chunks go to others and `lost` names it; a chunk that
    ended three ranks fails. `World.shrink` then gives the ranks that are left.
    """

    def __init__(
        self, comm: MPI.Intracomm, meanwhile: Callable[[], object] | None = None
    ) -> None:
        self._comm, self._meanwhile = comm.Dup(), meanwhile
        self._orders = Letters(self._comm, ORDERS)
        self._reports = Letters(self._comm, REPORTS)
        self._alone = comm.size == 1
        workers = [rank for rank in range(comm.size) if rank or self._alone]
        self._held: dict[int, dict[tuple[int, int], Chunk]] = {w: {} for w in workers}
        self._killed: Counter[tuple[int, int]] = Counter()
        self.lost: list[int] = []
        self._depth, self._mean = 1, 0.0
        super().__init__()
        self._calls: dict[int, Call[Any]] = {}
        self._asked: list[Awaited[Any]] = []
        self._ended: dict[int, list[int]] = {rank: [] for rank in self._held}

    def __enter__(self) -> Tasks | None:
        """Return this on the root; elsewhere work, and return ``None``. Collective."""
        if self._comm.rank == ROOT:
            return self
        work(self._orders, self._reports, ROOT)
        return None

    def __exit__(self, *exc: object) -> None:
        """Do what was submitted, and send the workers away. Collective.

        After an error of the root nothing is waited for: who handles it ends the rest.
        """
        if self._comm.rank == ROOT:
            for future in self._asked if exc[0] is None else ():
                future.exception()
            for rank in self._held if not self._alone else ():
                self._orders.send(rank, None)
            if exc[0] is not None:
                return
            self._calls.clear()
            while any(self._held.values()):
                self._report()
            self._orders.close()
        if not survives():  # it is collective, and some may be dead
            self._comm.Free()

    def _workers(self) -> int:
        return len(self._held)

    def _take_on(self, call: Call[Any]) -> None:
        _ = call.pickled  # an error of it is the caller's
        self._calls[call.number] = call

    def _begun(self, future: Awaited[Any]) -> None:
        self._asked = [each for each in self._asked if not each.done()] + [future]
        if not self._alone:
            self._give_out()

    def _advance(self) -> None:
        """Begin what may be begun, and wait for a result. Root only; local."""
        self._give_out()
        if not self._alone and any(self._held.values()):
            self._report()

    def _give_out(self) -> None:
        """Send chunks to workers that have room, the one that has least first."""
        orders: dict[int, list[Order]] = {}
        try:
            self._choose(orders)
        finally:  # also if there is an error in what the items come from
            with ExitStack() as sends:  # all of them, also if one cannot be pickled
                for rank, some in orders.items():
                    sends.callback(self._send, rank, some)

    def _send(self, rank: int, some: list[Order]) -> None:
        try:
            self._orders.send(rank, some)
        except Exception:  # an item cannot be pickled: the rank has got nothing
            for how, chunk, ended in some:
                self._held[rank].pop((chunk.call, chunk.first))
                self._ended[rank] += ended
                if how is not None:
                    self._calls[chunk.call].known.discard(rank)
            for number in {chunk.call for _, chunk, _ in some}:
                self._calls[number].end()
            raise

    def _choose(self, orders: dict[int, list[Order]]) -> None:
        """Choose chunks for workers that have room."""
        for call in list(self._calls.values()):
            if call.through():
                self._forget(call)
            while len(self._held[rank := freest(self._held)]) < self._depth:
                if (chunk := call.next_chunk()) is None:
                    break
                if self._alone:  # one at a time, as it is asked for
                    call.take(chunk.first, do_chunk(call.how, chunk), ROOT)
                    return
                how = None if rank in call.known else call.pickled
                call.known.add(rank)
                ended, self._ended[rank] = self._ended[rank], []
                self._held[rank][call.number, chunk.first] = chunk
                orders.setdefault(rank, []).append((how, chunk, ended))

    def _report(self) -> None:
        """Take in results, at least of one chunk. Root only; local."""
        try:
            letter: tuple[int, Any] | None = self._reports.wait(
                meanwhile=self._meanwhile
            )
        except RanksLost as error:
            self._lose(error.ranks)
            return
        while letter is not None:
            rank, reports = letter
            for number, first, n, content, seconds in reports:
                if rank not in self._held:  # it was lost, and its chunks are others'
                    continue
                self._held[rank].pop((number, first))
                self._mean += (seconds - self._mean) / 8
                call = self._calls.get(number)
                if call is not None:
                    call.take(first, unpickled(first, n, content), rank)
            letter = self._reports.look() if not survives() else None
        self._depth = 1 + min(DEEPEST - 1, int(WAITING / max(1e-9, self._mean)))

    def _lose(self, ranks: list[int]) -> None:
        """Give the chunks of killed ranks to others."""
        self.lost += ranks
        for rank in ranks:
            chunks = self._held.pop(rank, {}).values()
            give_back(chunks, rank, self._calls, self._killed)
        if not self._held:
            raise RankLeft("all ranks that do tasks were killed")

    def _forget(self, call: Call[Any]) -> None:
        del self._calls[call.number]
        for rank in call.known:
            self._ended[rank].append(call.number)
