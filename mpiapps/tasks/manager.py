"""The manager thread of the root: sends chunks, receives outcomes, balances workers."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from mpiapps.base.errors import RankExited
from mpiapps.comm.messages import MessageChannel, backoff
from mpiapps.comm.pickling import Pickled
from mpiapps.launch.mpi import MPI
from mpiapps.launch.ulfm import ProcFailedError
from mpiapps.tasks import pending_memory
from mpiapps.tasks.chunk import Chunk
from mpiapps.tasks.chunk_weight import MAX_WEIGHT
from mpiapps.tasks.payload import Payload, unpack_outcomes
from mpiapps.tasks.pending_memory import payload_bytes, report_bytes
from mpiapps.tasks.results import MapResult
from mpiapps.tasks.task import Failure, Outcomes, TaskError
from mpiapps.tasks.task_queue import ChunkQueue, split_chunk
from mpiapps.tasks.worker import ORDERS, RECALLS, REPORTS, Done, Order, ReportMessage
from mpiapps.tasks.worker_load import WorkerLoad

CRASH_LIMIT = 3  # failed ranks after which their chunk fails and is not retried


class Manager(threading.Thread):
    """Sends chunks to ranks and receives outcomes, in a thread of the root.

    Parameters
    ----------
    comm : MPI.Intracomm
        Used for nothing else.
    queue : ChunkQueue
        Chunks to send; other threads add to it, then call `wake`.

    Attributes
    ----------
    error : BaseException or None
        The exception that ended the thread.
    lost : list of int
        Failed ranks.
    """

    def __init__(self, comm: MPI.Intracomm, queue: ChunkQueue) -> None:
        super().__init__(name="tasks", daemon=True)
        self._comm, self._queue = comm, queue
        self._orders = MessageChannel(comm, ORDERS)
        self._reports = MessageChannel(comm, REPORTS)
        self._recalls = MessageChannel(comm, RECALLS)
        self._load = WorkerLoad(range(1, comm.size))
        self._ended_calls: dict[int, list[int]] = {r: [] for r in self._load.ranks}
        self._recalled: set[int] = set()  # ranks with a pending recall
        self._crashes: Counter[tuple[int, int]] = Counter()  # failed ranks by chunk
        self._wakeup = threading.Event()
        self._closing = False
        self.error: BaseException | None = None
        self.lost: list[int] = []

    # Called by other threads.

    def wake(self) -> None:
        """Wake the thread after an addition to its queue."""
        if not self._wakeup.is_set():
            self._wakeup.set()

    def close(self) -> None:
        """End the thread and the workers once the queue is done."""
        self._closing = True
        self._wakeup.set()

    @property
    def workers(self) -> int:
        """Return the number of workers."""
        return len(self._load)

    def forget(self, results: MapResult[Any]) -> None:
        """Make the workers release the function of a call that has ended."""
        for rank in list(results.sent_to):  # a chunk may be assigned now
            self._ended_calls[rank].append(results.number)

    # Called by this thread.

    def run(self) -> None:
        """Send chunks and receive outcomes until `close`."""
        try:
            while self._queue or self._load or not self._closing:
                self._dispatch()
                self._receive()
            for rank in self._load.ranks:
                self._orders.isend(rank, None)
            self._orders.close()
            self._recalls.close()
        except BaseException as error:
            self.error = error
            in_flight = {chunk.results for chunk in self._load.chunks()}
            for results in in_flight | self._queue.results():
                results.fail(error)

    def _dispatch(self) -> None:
        """Send chunks to the workers with free capacity, the least loaded first."""
        while self._send_chunks():
            self._queue.prepare()  # before its worker is chosen: it may take long
            self._handle_arrived()

    def _send_chunks(self) -> bool:
        """Send chunks up to a large one; return whether there was one."""
        orders: dict[int, list[Order]] = {}
        is_large, free_worker = False, self._load.least_loaded
        while not is_large and (rank := free_worker(MAX_WEIGHT)) is not None:
            if (entry := self._queue.next_pickled()) is None:
                break
            is_large = payload_bytes(entry[1]) >= pending_memory.MESSAGE_BYTES
            orders.setdefault(rank, []).append(self._assign(rank, *entry))
        for rank, new in orders.items():
            ended, self._ended_calls[rank] = self._ended_calls[rank], []
            self._orders.isend(rank, (ended, new))
        return is_large

    def _handle_arrived(self) -> None:
        """Handle the reports that have arrived, at most one for each worker."""
        try:
            for _ in range(len(self._load)):
                if (report := self._reports.poll()) is None:
                    return
                self._handle_report(*report)
        except ProcFailedError as error:
            self._on_failure(error.ranks)

    def _assign(self, rank: int, chunk: Chunk, payload: Payload) -> Order:
        """Assign a chunk to a worker; return its order."""
        results = chunk.results
        pickled = None if rank in results.sent_to else results.pickled
        results.sent_to.add(rank)
        nbytes = payload.nbytes if isinstance(payload, Pickled) else 0
        weight = results.task_seconds.weight(len(chunk.items), nbytes)
        self._load.add(rank, chunk, weight)
        return results.number, chunk.first, len(chunk.items), payload, pickled

    def _receive(self) -> None:
        """Receive reports until a chunk can be sent or no worker has one."""
        if not self._load:
            self._orders.release()
            if not self._closing:  # `close` may have been called before `clear`
                self._wakeup.wait()
                self._wakeup.clear()
            return
        try:
            while self._load and (report := self._next_report()) is not None:
                self._handle_report(*report)
        except ProcFailedError as error:
            self._on_failure(error.ranks)

    def _next_report(self) -> tuple[int, ReportMessage] | None:
        """Return the next report and its rank; None when a chunk can be sent.

        While reports arrive, workers are refilled only when they have less than half of
        their work left, so that orders of short tasks share messages.
        """
        for sleeps in backoff():
            capacity = MAX_WEIGHT if sleeps else MAX_WEIGHT // 2
            if self._queue and self._load.least_loaded(capacity) is not None:
                return None
            report: tuple[int, ReportMessage] | None = self._reports.poll()
            if report is not None:
                return report
            if sleeps:
                self._queue.prepare()
                self._recall()
        raise AssertionError("backoff does not end")

    def _handle_report(self, rank: int, report: ReportMessage) -> None:
        """Store the outcomes that a worker reports; requeue the tasks it returns."""
        if rank not in self._load.ranks:  # it failed; its chunks are requeued
            return
        self._recalled.discard(rank)
        done, returned = report
        for chunk in done:
            self._complete(rank, chunk)
        for tasks in returned:
            self._requeue(rank, *tasks)

    def _complete(self, rank: int, done: Done) -> None:
        """Store the outcomes of a chunk, or of its first tasks.

        The worker is about to report or return the others.
        """
        call_number, first, n, report, seconds = done
        chunk, old_weight = self._load.remove(rank, (call_number, first))
        outcomes, nbytes = unpack_outcomes(first, report), report_bytes(report)
        results, items = chunk.results, chunk.items
        results.add_outcomes(first, outcomes, rank, nbytes)
        if seconds:  # executed
            results.task_seconds.add(n, seconds)
        if n < len(items):
            rest = Chunk(results, first + n, items[n:])
            self._load.add(rank, rest, -(-old_weight * len(rest.items) // len(items)))

    def _requeue(self, rank: int, call_number: int, first: int, together: bool) -> None:
        """Requeue tasks that a worker has returned unexecuted."""
        chunk = self._load.find(rank, call_number, first)
        _, old_weight = self._load.remove(rank, (call_number, chunk.first))
        n = first - chunk.first
        if n:
            first_part = chunk._replace(items=chunk.items[:n])
            self._load.add(rank, first_part, -(-old_weight * n // len(chunk.items)))
        rest = Chunk(chunk.results, first, chunk.items[n:])
        self._queue.add_first([rest] if together else split_chunk(rest))

    def _recall(self) -> None:
        """If a worker is idle, ask the most loaded one to return tasks."""
        if self._queue or self._load.least_loaded(1) is None:
            return
        if (rank := self._load.most_loaded(self._recalled)) is not None:
            self._recalled.add(rank)
            self._recalls.isend(rank, None)

    def _on_failure(self, ranks: list[int]) -> None:
        """Requeue the chunks of failed ranks; fail those at their crash limit."""
        self.lost += ranks
        for rank in ranks:
            for chunk in self._load.remove_worker(rank):
                key = chunk.results.number, chunk.first
                self._crashes[key] += 1
                if self._crashes[key] < CRASH_LIMIT:
                    self._queue.add_first([chunk])
                    continue
                error = TaskError(
                    f"{CRASH_LIMIT} ranks were killed while they executed it"
                )
                n = len(chunk.items)
                failures = dict.fromkeys(
                    range(chunk.first, chunk.first + n), Failure(error, "")
                )
                outcomes = Outcomes([None] * n, failures)
                chunk.results.add_outcomes(chunk.first, outcomes, rank)
        if not self._load.ranks:
            raise RankExited("all workers were killed")
