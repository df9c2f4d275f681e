"""The workers of a pool: execute tasks until the root sends no more."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from mpiapps.comm.messages import MessageChannel
from mpiapps.comm.pickling import Pickled
from mpiapps.launch.mpi import MPI
from mpiapps.tasks import pending_memory
from mpiapps.tasks.call_child import CallChild
from mpiapps.tasks.payload import (
    Payload,
    Report,
    pack_outcomes,
    unpack_items,
    without_views,
)
from mpiapps.tasks.pending_memory import SizeEstimate, report_bytes
from mpiapps.tasks.task import (
    Executable,
    PendingTasks,
    execute_chunk,
    one_failure,
    unpack_call,
    unpickling_failure,
)

ORDERS, REPORTS, RECALLS = 10, 20, 30  # tags; large messages use the next ones too
REPORT_SECONDS = 0.001  # s of work in one report
REPORT_CHUNKS = 8  # chunks in one report
IDLE_SECONDS = 2.5e-4  # s between polls of a worker that was idle for a moment
POLL_SECONDS = 0.005  # s between polls for recalls, while a task runs


# Messages are plain tuples, which are pickled much faster than classes.
# A chunk for a worker: call, first task, tasks, items, the function if it is new.
Order = tuple[int, int, int, Payload, Pickled | None]
# Completed tasks for the root: call, first task, tasks, outcomes, s of unpickling and
# execution.
Done = tuple[int, int, int, Report, float]
# Tasks that a worker returns unexecuted, up to the end of their chunk: call, first
# task, whether the worker can unpickle them together.
Returned = tuple[int, int, bool]
ReportMessage = tuple[list[Done], list[Returned]]


@dataclass
class QueuedChunk:
    """A chunk on its worker."""

    call_number: int
    first: int
    end: int  # number after that of the last task
    call: Executable
    result_sizes: SizeEstimate  # of the call
    tasks: PendingTasks  # those that have not started
    unpickling_seconds: float  # per task


class Worker:
    """Executes the chunks that the root sends.

    Parameters
    ----------
    comm : MPI.Intracomm
    root : int
    child : CallChild, optional
        Executes the tasks that have limits.
    """

    def __init__(
        self, comm: MPI.Intracomm, root: int, child: CallChild | None = None
    ) -> None:
        self._comm, self._root = comm, root
        self._child = child or CallChild(0, 0)
        self._orders = MessageChannel(comm, ORDERS)
        self._reports = MessageChannel(comm, REPORTS)
        self._calls: dict[int, tuple[Executable, SizeEstimate]] = {}
        self._queue: deque[QueuedChunk] = deque()  # the first one is running
        self._done: list[Done] = []  # not reported yet
        self._lock = threading.Lock()  # of `_done`, and of sending reports
        self._ended = threading.Event()

    def run(self) -> None:
        """Execute tasks until the root ends the pool."""
        recalls = threading.Thread(
            target=self._serve_recalls, name="recalls", daemon=True
        )
        recalls.start()
        try:
            while self._receive():
                self._execute_queue()
        finally:
            self._ended.set()
            recalls.join()
            self._child.close()
        self._reports.close()

    def _receive(self) -> bool:
        """Enqueue the chunks of the next message; return whether there is one.

        The memory of the message is released while the next one is waited for.
        """
        message = self._orders.recv(self._root, max_sleep=IDLE_SECONDS)[1]
        if message is not None:
            self._enqueue(*message)
        return message is not None

    def _enqueue(self, ended: list[int], orders: list[Order]) -> None:
        """Enqueue chunks; an item that cannot be unpickled fails its task alone."""
        returned = []
        for call_number, first, n, payload, pickled_call in orders:
            if pickled_call is not None:
                new = unpack_call(pickled_call)
                self._calls[call_number] = self._child.limited(new), SizeEstimate()
            start = time.perf_counter()
            ok, items = unpack_items(payload)
            seconds_per_task = (time.perf_counter() - start) / n
            if ok:
                call, sizes = self._calls[call_number]
                tasks, end = deque(items), first + n
                chunk = QueuedChunk(
                    call_number, first, end, call, sizes, tasks, seconds_per_task
                )
                self._queue.append(chunk)
            elif n > 1:
                returned.append((call_number, first, False))
            else:
                failure = unpickling_failure(first, items)
                report = pack_outcomes(first, one_failure(first, failure))
                self._add_done((call_number, first, 1, report, 0.0))
        for call_number in ended:  # last: a call may end while its order is assigned
            self._calls.pop(call_number, None)
        if returned:
            self._report(returned)

    def _execute_queue(self) -> None:
        """Execute all chunks of the queue, and report their outcomes.

        Large results are reported before their chunk has ended.
        """
        last_report, nbytes = time.perf_counter(), 0
        while self._queue:
            chunk = self._queue[0]
            nbytes += self._execute_some(chunk)
            if not chunk.tasks:
                self._queue.popleft()
            now = time.perf_counter()
            is_large = (
                nbytes >= pending_memory.MESSAGE_BYTES
                or len(self._done) >= REPORT_CHUNKS
            )
            if is_large or now - last_report > REPORT_SECONDS:
                self._report()
                last_report, nbytes = now, 0
        self._report()

    def _execute_some(self, chunk: QueuedChunk) -> int:
        """Execute tasks of a chunk; return the bytes of their outcomes."""
        first, sizes = chunk.first, chunk.result_sizes
        start = time.perf_counter()
        outcomes = execute_chunk(chunk.call, first, chunk.tasks, sizes.per_message())
        seconds = time.perf_counter() - start
        if not (n := len(outcomes.values)):
            return 0
        report = pack_outcomes(first, outcomes)
        sizes.add(n, nbytes := report_bytes(report))
        if nbytes < pending_memory.MESSAGE_BYTES:  # it waits while later tasks run
            report = without_views(report)
        chunk.first += n
        seconds += n * chunk.unpickling_seconds
        self._add_done((chunk.call_number, first, n, report, seconds))
        return nbytes

    def _add_done(self, done: Done) -> None:
        with self._lock:
            self._done.append(done)

    def _report(self, returned: Sequence[Returned] = ()) -> None:
        """Send completed and returned tasks, if any. Any thread."""
        with self._lock:
            done, self._done = self._done, []
            message: ReportMessage = done, list(returned)
            if any(message) and self._reports.isend(self._root, message):
                self._reports.close()  # the next task may be long and not call MPI

    def _serve_recalls(self) -> None:
        """Report outcomes and return recalled tasks while a long task runs."""
        recalls = MessageChannel(self._comm, RECALLS)
        while not self._ended.wait(POLL_SECONDS):
            recalled = self._queue and recalls.poll(self._root) is not None
            if recalled or self._done:
                self._report(release_tasks(list(self._queue)) if recalled else ())
        while recalls.poll(self._root) is not None:  # receive those sent too late
            pass


def release_tasks(queue: list[QueuedChunk]) -> list[Returned]:
    """Remove the last half of the tasks that have not started, and return it."""
    n = -(-sum(len(chunk.tasks) for chunk in queue) // 2)
    returned: list[Returned] = []
    for chunk in reversed(queue):
        end = chunk.end
        while n and chunk.tasks:
            try:
                chunk.tasks.pop()
            except IndexError:  # started by the other thread
                break
            n -= 1
            chunk.end -= 1
        if chunk.end < end:
            returned.append((chunk.call_number, chunk.end, True))
    return returned
