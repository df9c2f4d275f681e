"""The executor of the task engine for commands: child processes on the slots of hosts.

The root assigns the tasks. The first rank of each host is its node agent: it runs as
many tasks at the same time as the host has slots, each in a child process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpiapps.base.streams import abbreviated, write_err
from mpiapps.comm.messages import MessageChannel
from mpiapps.launch.ulfm import ProcFailedError, ulfm_enabled
from mpiapps.taskfarm.attempt_queue import AttemptQueue, TaskAttempt
from mpiapps.taskfarm.command_tasks import CommandTasks
from mpiapps.taskfarm.farm_journal import FAILED_FILE, FarmJournal
from mpiapps.taskfarm.halt import Halt
from mpiapps.taskfarm.host_runner import HostRunner, as_record
from mpiapps.taskfarm.task_lines import as_lines
from mpiapps.taskfarm.task_process import STOPPED, TaskExit
from mpiapps.tasks.engine import Results, Stop, collect
from mpiapps.tasks.task_set import Chunks, TaskSet, Unfinished

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

    from mpiapps.app.context import RunContext
    from mpiapps.comm.world import World

POLL_SECONDS = 0.001  # wait for local tasks, where messages are polled too
LOCAL_POLL_SECONDS = 0.1  # the same on a single host, without messages
IDLE_POLL_SECONDS = 0.02  # between polls of an agent without tasks; leaves CPU to tasks
ROOT = 0
ORDER_TAG, REPORT_TAG = 10, 20  # the next tag of each is for large messages
STOP = "stop"  # sent in place of a task: terminate the running ones
MAX_REPORTED_FAILURES = 10  # failed tasks printed while the farm runs


class Hosts:
    """The hosts of a run. Collective to create.

    Attributes
    ----------
    cpus : set of int
        CPUs that the ranks of this host may use, together.
    agents : list of int
        The node agent of each host, a rank; the root is the first.
    cores : list of int
        Slots of each host, one per core: ranks times threads.
    """

    def __init__(self, world: World) -> None:
        masks = world.node.allgather(os.sched_getaffinity(0))
        self.cpus: set[int] = set().union(*masks)
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        agent = None if world.local_rank else (world.rank, world.local_size * threads)
        agents = [pair for pair in world.comm.allgather(agent) if pair]
        self.agents = [rank for rank, _ in agents]
        self.cores = [cores for _, cores in agents]


@dataclass
class SlotExecutor:
    """Runs the commands of `CommandTasks` on the slots of all hosts.

    Parameters
    ----------
    journal : FarmJournal
        That of `run_tasks`.
    shell : str
        Path of the shell that runs the commands.
    drain : float
        Seconds that running tasks get to end when the run stops.
    listed : sequence of str
        Identities of the whole list, of which the tasks may be a part.
    halt : Halt
        When the run ends before all tasks have.

    Attributes
    ----------
    ended : int
        Root only: tasks of which an attempt has ended in this run.
    halted : bool
        Root only: whether the run has ended by `halt`.
    """

    journal: FarmJournal
    shell: str
    drain: float
    listed: Sequence[str]
    halt: Halt
    ended: int = 0
    halted: bool = False

    def __call__(
        self, ctx: RunContext, tasks: TaskSet, chunks: Chunks, stop: Stop
    ) -> Results:
        """Yield the record of each attempt, on the root. Collective.

        Cost: two messages of about a kilobyte for each attempt on another host.
        """
        assert isinstance(tasks, CommandTasks)
        del stop  # by time limits and the median, too: see `AttemptQueue`
        world, hosts = ctx.world, Hosts(ctx.world)
        comm = world.comm.Dup()
        local = HostRunner(hosts.cpus, self.shell)
        numbers = [number for chunk in chunks for number in chunk]
        try:
            with world.agree():
                if world.is_root:
                    queue = AttemptQueue(
                        *(tasks.tasks, numbers, hosts.cores, ctx.deadline, self.drain),
                        halt=self.halt,
                    )
                    self.journal.begin(self.listed, len(tasks), len(numbers))
            if world.is_root:
                work = self.journal, tasks, queue
                manager = _Dispatcher(work, hosts.agents, local, comm)
                yield from collect(ctx, tasks, numbers, manager.records())
                self.ended, self.halted = len(queue.tries), queue.halted
                failed = [tasks.tasks[number] for number in sorted(queue.failed)]
                text = "".join(f"{line}\n" for line in as_lines(failed))
                self.journal.write(self.journal.path / FAILED_FILE, text)
            else:
                with world.timed(tasks.timer):
                    worker_loop(local, comm)
        finally:
            local.close()
        if ulfm_enabled():
            world.shrink()
        else:
            comm.Free()


class _Dispatcher:
    """The root's part: sends commands to node agents, receives their records."""

    def __init__(
        self,
        work: tuple[FarmJournal, CommandTasks, AttemptQueue],
        agents: list[int],
        local: HostRunner,
        comm: Intracomm,
    ) -> None:
        self._journal, self._tasks, self._queue = work
        self._agents, self._local, self._size = agents, local, comm.size
        self._orders = MessageChannel(comm, ORDER_TAG)
        self._reports = MessageChannel(comm, REPORT_TAG)
        self._running: dict[str, int] = {}  # identity -> number
        self._lost_ranks, self._to_remove = set[int](), list[int]()
        self._failures = 0

    def records(self) -> Iterator[tuple[int, Any] | None]:
        """Yield the record of each attempt, and `None` while there is none."""
        timeout = LOCAL_POLL_SECONDS if len(self._agents) == 1 else POLL_SECONDS
        while self._queue:
            self._dispatch()
            if not self._local.running:
                time.sleep(POLL_SECONDS)
            records = self._local.wait(timeout) + self._received()
            for record in records:
                yield self._end(record)
            while self._to_remove:  # after the records that they have sent
                self._remove(self._to_remove.pop())
            while self._queue.not_run:
                yield self._fail(*self._queue.not_run.pop(0))
            if not records:
                yield None
        for rank in range(1, self._size):
            self._orders.isend(rank, None)
        self._orders.close()

    def _dispatch(self) -> None:
        """Start all tasks that fit now; terminate the running ones after the drain."""
        while (assignment := self._queue.next()) is not None:
            number, host = assignment
            name, task = self._tasks.names[number], self._tasks.tasks[number]
            attempt, log = self._journal.next_attempt(name)
            alone = number in self._queue.lost
            self._running[name] = number
            order = TaskAttempt(name, attempt, task, log, alone)
            if host == 0:
                self._local.submit(order)
            else:
                self._orders.isend(self._agents[host], order)
        if self._queue.drain_expired():
            self._local.stop()
            for rank in self._agents[1:]:
                self._orders.isend(rank, STOP)

    def _received(self) -> list[dict[str, Any]]:
        """Return the records that node agents have sent."""
        records: list[dict[str, Any]] = []
        try:
            while (message := self._reports.poll()) is not None:
                records += message[1] if message[0] not in self._lost_ranks else []
        except ProcFailedError as error:
            self._lost_ranks.update(error.ranks)
            self._to_remove += error.ranks
        return records

    def _end(self, record: dict[str, Any]) -> tuple[int, Any]:
        """Return a task and its result."""
        number = self._running.pop(record["task"])
        self._failures += bool(record["code"])
        if record["code"] and self._failures <= MAX_REPORTED_FAILURES:
            _report_failure(record)
        return number, as_result(self._queue, number, record)

    def _fail(self, number: int, reason: str) -> tuple[int, Any]:
        """Return a task that failed without a record, and its result."""
        name = self._tasks.names[number]
        attempt, log = self._journal.next_attempt(name)
        order = TaskAttempt(name, attempt, self._tasks.tasks[number], log)
        record = as_record(order, TaskExit(1, reason, 0.0))
        return number, {**record, "at": time.time()}

    def _remove(self, rank: int) -> None:
        """Requeue the tasks of a failed rank, if it was a node agent."""
        lost = []
        if rank in self._agents:
            lost = self._queue.remove_host(self._agents.index(rank))
        for number in lost:
            self._journal.skip_attempt(self._tasks.names[number])
        write_err(f"mpiapps: rank {rank} failed; {len(lost)} tasks are requeued\n")


def as_result(queue: AttemptQueue, number: int, record: dict[str, Any]) -> Any:
    """Return the record of an attempt, as `Unfinished` if the task is run again."""
    record["at"] = time.time()  # of the manager's clock, not that of the host
    if not queue.end(number, record):
        return record
    if record["reason"] != STOPPED:
        record["again"] = True  # the task has not failed yet
    return Unfinished(record)


def worker_loop(local: HostRunner, comm: Intracomm) -> None:
    """Run the tasks that the root sends, until `None`. Collective but for the root."""
    orders = MessageChannel(comm, ORDER_TAG)
    reports = MessageChannel(comm, REPORT_TAG)
    while True:
        if local.running:
            message = orders.poll(ROOT)
        else:
            message = orders.recv(ROOT, max_sleep=IDLE_POLL_SECONDS)
        while message is not None:
            order = message[1]
            if order is None:
                reports.close()
                return
            if order == STOP:
                local.stop()
            else:
                local.submit(order)
            message = orders.poll(ROOT)
        if records := local.wait(POLL_SECONDS):
            reports.isend(ROOT, records)


def _report_failure(record: dict[str, Any]) -> None:
    """Print a failed task to standard error."""
    code = record["code"]
    status = f"signal {-code}" if code < 0 else f"exit code {code}"
    reason = f" ({record['reason']})" if record["reason"] else ""
    log = f"logs/{record['task']}.{record['attempt']}"
    write_err(f"mpiapps: {status}{reason}: {abbreviated(record['command'])} ({log})\n")
