"""The side of tasks that does them: what the root orders, until there is no more."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from mpiapps.comm.letters import Letters
from mpiapps.comm.mpi import MPI
from mpiapps.comm.packing import Packed
from mpiapps.comm.task import (
    How,
    Payload,
    Report,
    Tasks,
    do_chunk,
    not_read,
    pack_outcomes,
    unpack_how,
    unpack_items,
)

ORDERS, REPORTS, RECALLS = 10, 20, 30  # tags; the numbers after them: large letters
TOGETHER, MANY = 0.001, 8  # s of work and chunks that are reported in one letter
LOOK = 0.005  # s between looks for a recall, and at what is done and not reported


# Plain tuples are pickled in a fraction of the time that classes take.
# A chunk, to a worker: call, first task, how many, items, the function if it is new.
Order = tuple[int, int, int, Payload, Packed | None]
# Tasks that were done, to the root: call, first task, how many, outcomes, seconds.
Done = tuple[int, int, int, Report, float]
# Tasks that were not begun and are given back, to the end of their chunk: call, first
# task, whether the worker can unpickle them together.
Returned = tuple[int, int, bool]
Orders = tuple[list[int], list[Order]]  # calls whose functions can be forgotten; chunks
Letter = tuple[list[Done], list[Returned]]


class Held(NamedTuple):
    """A chunk at its worker. Local."""

    call: int
    first: int
    how: How
    tasks: Tasks


class Worker:
    """Does what the root orders. Local.

    Parameters
    ----------
    comm : MPI.Intracomm
    root : int
    """

    def __init__(self, comm: MPI.Intracomm, root: int) -> None:
        self._comm, self._root = comm, root
        self._orders, self._reports = Letters(comm, ORDERS), Letters(comm, REPORTS)
        self._hows: dict[int, How] = {}
        self._held: deque[Held] = deque()  # the first is being done
        self._done: list[Done] = []  # not reported
        self._lock = threading.Lock()  # of that, and of sending
        self._ended = threading.Event()

    def work(self) -> None:
        """Do tasks until the root orders no more. Local."""
        watch = threading.Thread(target=self._watch, name="recalls", daemon=True)
        watch.start()
        try:
            while (letter := self._orders.wait(self._root)[1]) is not None:
                self._accept(*letter)
                self._work_off()
        finally:
            self._ended.set()
            watch.join()
        self._reports.close()

    def _accept(self, ended: list[int], orders: list[Order]) -> None:
        """Hold chunks; what cannot be unpickled is one task's error."""
        for call in ended:
            self._hows.pop(call, None)
        returned = []
        for call, first, n, payload, how in orders:
            if how is not None:
                self._hows[call] = unpack_how(how)
            fine, items = unpack_items(payload)
            if fine:
                tasks = deque(enumerate(items, first))
                self._held.append(Held(call, first, self._hows[call], tasks))
            elif n > 1:
                returned.append((call, first, False))
            else:
                report = pack_outcomes([not_read(first, items)])
                self._finish((call, first, 1, report, 0.0))
        if returned:
            self._report(returned)

    def _work_off(self) -> None:
        """Do all that is held, and report it."""
        since = time.perf_counter()
        while self._held:
            call, first, how, tasks = self._held[0]
            start = time.perf_counter()
            outcomes = do_chunk(how, tasks)
            now = time.perf_counter()
            self._held.popleft()
            if outcomes:
                report = pack_outcomes(outcomes)
                self._finish((call, first, len(outcomes), report, now - start))
            if now - since > TOGETHER or len(self._done) >= MANY:
                self._report()
                since = now
        self._report()

    def _finish(self, done: Done) -> None:
        with self._lock:
            self._done.append(done)

    def _report(self, returned: Sequence[Returned] = ()) -> None:
        """Send what is done and what is given back, if there is any. Any thread."""
        with self._lock:
            done, self._done = self._done, []
            letter: Letter = done, list(returned)
            if any(letter) and self._reports.send(self._root, letter):
                self._reports.close()  # the next task may call no MPI for long

    def _watch(self) -> None:
        """Report what is done, and give back tasks, while a long task is done here."""
        recalls = Letters(self._comm, RECALLS)
        while not self._ended.wait(LOOK):
            recalled = self._held and recalls.look(self._root) is not None
            if recalled or self._done:
                self._report(give_back(list(self._held)) if recalled else ())
        while recalls.look(self._root) is not None:  # came too late
            pass


def give_back(held: list[Held]) -> list[Returned]:
    """Return half of the tasks that were not begun, the last ones. Local."""
    n = -(-sum(len(chunk.tasks) for chunk in held) // 2)
    returned: list[Returned] = []
    for call, _, _, tasks in reversed(held):
        first = -1
        while n and tasks:
            try:
                first = tasks.pop()[0]
            except IndexError:  # begun just now
                break
            n -= 1
        if first >= 0:
            returned.append((call, first, True))
    return returned
