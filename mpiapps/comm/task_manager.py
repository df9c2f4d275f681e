"""The root's thread of tasks: hands out chunks, takes in results, balances workers."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from mpiapps.base.errors import RankLeft
from mpiapps.comm.letters import Letters, pauses
from mpiapps.comm.mpi import MPI
from mpiapps.comm.packing import Packed
from mpiapps.comm.survive import RanksLost
from mpiapps.comm.task import (
    Failure,
    Payload,
    TaskError,
    unpack_outcomes,
)
from mpiapps.comm.task_calls import Call, Chunk
from mpiapps.comm.task_load import Load
from mpiapps.comm.task_queue import Queue, apart
from mpiapps.comm.task_worker import (
    ORDERS,
    RECALLS,
    REPORTS,
    Done,
    Letter,
    Order,
)

WAITING = 0.05  # s of work that may wait at a worker, so that it does not wait itself
DEEPEST = 64  # chunks that a worker may have: of these, more than one only if short
HEAVY = 2**21  # bytes of items that count as one more chunk
POISON = 3  # ranks killed while they did a chunk, which is then given to none


class Manager(threading.Thread):
    """Carries chunks to ranks and outcomes back, in a thread of the root. Local.

    Parameters
    ----------
    comm : MPI.Intracomm
        Used for nothing else.
    queue : Queue
        Chunks to be handed out; other threads add some, then call `wake`.

    Attributes
    ----------
    error : BaseException or None
        What ended the thread before its time.
    lost : list of int
        Ranks that were killed.
    """

    def __init__(self, comm: MPI.Intracomm, queue: Queue) -> None:
        super().__init__(name="tasks", daemon=True)
        self._comm, self._queue = comm, queue
        self._orders, self._reports = Letters(comm, ORDERS), Letters(comm, REPORTS)
        self._recalls = Letters(comm, RECALLS)
        self._load = Load(range(1, comm.size))
        self._ended: dict[int, list[int]] = {rank: [] for rank in range(1, comm.size)}
        self._asked: set[int] = set()  # ranks that were asked to give tasks back
        self._killed: Counter[tuple[int, int]] = Counter()
        self._depth, self._mean = 1, 0.0
        self._offered = threading.Event()
        self._closing = False
        self.error: BaseException | None = None
        self.lost: list[int] = []

    # By other threads.

    def wake(self) -> None:
        """Look at what is waiting. Local."""
        if not self._offered.is_set():
            self._offered.set()

    def close(self) -> None:
        """End the thread when all that is waiting has been done; send workers away.

        Local.
        """
        self._closing = True
        self._offered.set()

    @property
    def workers(self) -> int:
        """Return how many ranks do tasks."""
        return len(self._load)

    def forget(self, call: Call[Any]) -> None:
        """Let ranks forget the function of a call that has ended. Local."""
        for rank in call.known:
            self._ended[rank].append(call.number)

    # By this thread.

    def run(self) -> None:
        """Carry chunks and outcomes until `close`. Local."""
        try:
            while self._queue or self._load or not self._closing:
                self._hand_out()
                self._take_in()
            for rank in self._load.ranks:
                self._orders.send(rank, None)
            self._orders.close()
            self._recalls.close()
        except BaseException as error:
            self.error = error
            held = {chunk.call for chunk in self._load.chunks()}
            for call in held | self._queue.calls():
                call.fail(error)

    def _hand_out(self) -> None:
        """Send chunks to workers that have room, the one that has least first."""
        orders: dict[int, list[Order]] = {}
        while (rank := self._load.freest(self._depth)) is not None:
            if (found := self._queue.next_packed()) is None:
                break
            orders.setdefault(rank, []).append(self._order(rank, *found))
        for rank, some in orders.items():
            ended, self._ended[rank] = self._ended[rank], []
            self._orders.send(rank, (ended, some))

    def _order(self, rank: int, chunk: Chunk, payload: Payload) -> Order:
        """Let a rank have a chunk."""
        call = chunk.call
        how = None if rank in call.known else call.packed
        call.known.add(rank)
        nbytes = payload.nbytes if isinstance(payload, Packed) else 0
        self._load.add(rank, chunk, 1 + nbytes // HEAVY)
        return call.number, chunk.first, len(chunk.items), payload, how

    def _take_in(self) -> None:
        """Take in letters until there is something to hand out, or all is done."""
        if not self._load:
            self._offered.wait()
            self._offered.clear()
            return
        try:
            while self._load and (letter := self._next_letter()) is not None:
                self._read(*letter)
        except RanksLost as error:
            self._lose(error.ranks)

    def _next_letter(self) -> tuple[int, Letter] | None:
        """Return the next letter; `None` when there is something to hand out.

        While letters come, a worker that has half of what it may is left with that, so
        that orders of short tasks travel together.
        """
        for sleeps in pauses():
            room = self._depth if sleeps else (self._depth + 1) // 2
            if self._queue and self._load.freest(room) is not None:
                return None
            letter: tuple[int, Letter] | None = self._reports.look()
            if letter is not None:
                return letter
            if sleeps:
                self._recall()
        raise AssertionError("pauses have no end")

    def _read(self, rank: int, letter: Letter) -> None:
        """Take in what a rank has done, and what it gives back."""
        if rank not in self._load.ranks:  # it was lost, and its chunks are others'
            return
        self._asked.discard(rank)
        done, returned = letter
        for each in done:
            self._finish(rank, each)
        for tasks in returned:
            self._return(rank, *tasks)
        self._depth = 1 + min(DEEPEST - 1, int(WAITING / max(1e-9, self._mean)))

    def _finish(self, rank: int, done: Done) -> None:
        """Take in the outcomes of a chunk, or of its first tasks."""
        number, first, n, report, seconds = done
        chunk = self._load.remove(rank, (number, first))
        chunk.call.take(first, unpack_outcomes(first, report), rank)
        if n < len(chunk.items):  # the rest is given back, if not yet
            self._load.add(rank, Chunk(chunk.call, first + n, chunk.items[n:]), 1)
        self._mean += (seconds - self._mean) / 8 if self._mean else seconds

    def _return(self, rank: int, number: int, first: int, together: bool) -> None:
        """Hand tasks out again that a worker has not begun."""
        chunk = self._load.find(rank, number, first)
        self._load.remove(rank, (number, chunk.first))
        n = first - chunk.first
        if n:
            self._load.add(rank, Chunk(chunk.call, chunk.first, chunk.items[:n]), 1)
        rest = Chunk(chunk.call, first, chunk.items[n:])
        self._queue.add_first([rest] if together else apart(rest))

    def _recall(self) -> None:
        """Ask a worker for tasks that it has not begun, if another one has none."""
        if self._queue or self._load.freest(1) is None:
            return
        if (rank := self._load.fullest(self._asked)) is not None:
            self._asked.add(rank)
            self._recalls.send(rank, None)

    def _lose(self, ranks: list[int]) -> None:
        """Give the chunks of killed ranks to others; not one that ends them all."""
        self.lost += ranks
        for rank in ranks:
            for chunk in self._load.lose(rank):
                key = chunk.call.number, chunk.first
                self._killed[key] += 1
                if self._killed[key] < POISON:
                    self._queue.add_first([chunk])
                    continue
                told = TaskError(f"{POISON} ranks were killed while they did it")
                outcomes = [(False, Failure(told, ""))] * len(chunk.items)
                chunk.call.take(chunk.first, outcomes, rank)
        if not self._load.ranks:
            raise RankLeft("all ranks that do tasks were killed")
