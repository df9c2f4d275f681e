"""Task farm: run many shell commands over hosts, each once, and resume after any kill.

The root dispatches tasks and writes the journal. The first rank of each host is its
node agent: it runs as many tasks at the same time as the host has ranks, each in a
child process. docs/farm.md states the guarantees and the files.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main, option
from mpiapps.base.errors import Checkpointed, InputError
from mpiapps.base.streams import write_err
from mpiapps.storage.directory_lock import DirectoryLock
from mpiapps.taskfarm.local_executor import LocalExecutor, find_shell
from mpiapps.taskfarm.parameter_grid import grid
from mpiapps.taskfarm.state import FarmState
from mpiapps.taskfarm.task_list import Task, by_identity, part_of, read_file

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

    from mpiapps.app.context import RunContext
    from mpiapps.base.deadline import Deadline
    from mpiapps.comm.messages import MessageChannel
    from mpiapps.comm.world import World

POLL_SECONDS = 0.001  # wait for local tasks, where messages are polled too
LOCAL_POLL_SECONDS = 0.1  # the same on a single host, without messages
IDLE_POLL_SECONDS = 0.02  # between polls of an agent without tasks; leaves CPU to tasks
ORDER_TAG, REPORT_TAG = 10, 20  # the next tag of each is for large messages
STOP = "stop"  # sent in place of a task: terminate the running ones
MAX_REPORTED_FAILURES = 10  # failed tasks printed while the farm runs


@dataclass(frozen=True)
class Options:
    """The tasks, their default limits, and the run directory."""

    tasks: str = option(
        "",
        "file with one command per line, or - for standard input; with --param, the"
        " command itself",
        positional=True,
        metavar="TASKS",
    )
    param: tuple[str, ...] = option(
        (),
        "parameter sweep, one task per value: NAME=1:10, NAME=a,b or NAME=@FILE",
        metavar="NAME=VALUES",
    )
    directory: str = option(
        "",
        "run directory for journal and logs (default: TASKS.farm, or farm)",
        metavar="FOLDER",
    )
    part: str = option(
        "", "run the I-th of N parts of the tasks, for job arrays", metavar="I/N"
    )
    time: int = option(0, "time limit per task; 0: no limit", type="time", min=0)
    memory: int = option(0, "memory limit per task; 0: no limit", type="size")
    cores: int = option(1, "cores per task", min=1)
    retries: int = option(0, "times that a failed task is run again", min=0)
    shell: str = option(
        "sh", "shell that runs the commands: a name on PATH such as bash, or a path"
    )
    drain: int = option(
        10, "time that running tasks get to end when the run stops", type="time", min=0
    )
    force_unlock: bool = option(
        False, "unlock the directory after its manager on another host has ended"
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options are inconsistent."""
    if not options.tasks:
        raise ValueError("give a file of tasks, or a command with --param")
    if options.part:
        part_of([], options.part)


def run(ctx: RunContext, options: Options) -> Result:
    """Run the tasks that are not done. Collective."""
    from mpiapps.launch.ulfm import ulfm_enabled

    world = ctx.world
    hosts = Hosts(world)
    with world.agree():
        shell = find_shell(options.shell)
    comm, executor = world.comm.Dup(), LocalExecutor(hosts.cpus, shell)
    values, code = None, 0
    if world.is_root:
        with world.agree():
            state = _farm_state(options, hosts.cores, ctx.deadline)
        with state:
            with world.timed("tasks"):
                _manage(ctx, state, hosts.agents, executor, comm)
            state.journal.sync()
            values, code = state.report()
        values["shell"] = os.path.realpath(shell)
    else:
        with world.agree():  # on reading the tasks, which the root does
            pass
        with world.timed("tasks"):
            worker_loop(executor, comm)
    executor.close()
    if ulfm_enabled():
        world.shrink()
    else:
        comm.Free()
    values, code = world.comm.bcast((values, code))
    if values["remaining"]:
        raise _stopped(ctx, values)
    return Result(values, [], [], code)


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


def _manage(
    ctx: RunContext,
    state: FarmState,
    agents: list[int],
    executor: LocalExecutor,
    comm: Intracomm,
) -> None:
    """Dispatch tasks and record results until none is pending. Root only."""
    from mpiapps.comm.messages import MessageChannel
    from mpiapps.launch.ulfm import ProcFailedError

    orders = MessageChannel(comm, ORDER_TAG)
    reports = MessageChannel(comm, REPORT_TAG)
    failures, lost_ranks = 0, set[int]()
    timeout = LOCAL_POLL_SECONDS if len(agents) == 1 else POLL_SECONDS
    with ctx.progress(max(1, len(state.tasks)), "tasks") as progress:
        while state.has_pending():
            _dispatch(state, agents, executor, orders)
            if not executor.running:
                time.sleep(POLL_SECONDS)
            records = executor.wait(timeout)
            try:
                while (message := reports.poll()) is not None:
                    records += message[1] if message[0] not in lost_ranks else []
            except ProcFailedError as error:
                lost_ranks.update(error.ranks)
                for rank in error.ranks:
                    _on_rank_failure(state, agents, rank)
            for record in records:
                progress.add(state.record_result(record))
                failures += bool(record["code"])
                if record["code"] and failures <= MAX_REPORTED_FAILURES:
                    _report_failure(record)
            state.journal.sync_if_due()
    for rank in range(1, ctx.world.size):
        orders.isend(rank, None)
    orders.close()


def _dispatch(
    state: FarmState, agents: list[int], executor: LocalExecutor, orders: MessageChannel
) -> None:
    """Start all tasks that fit now; terminate the running ones once drain expires."""
    while (assignment := state.next()) is not None:
        attempt, host = assignment
        if host == 0:
            executor.submit(attempt)
        else:
            orders.isend(agents[host], attempt)
    if state.drain_expired():
        executor.stop()
        for rank in agents[1:]:
            orders.isend(rank, STOP)


def worker_loop(executor: LocalExecutor, comm: Intracomm, root: int = 0) -> None:
    """Run the tasks that the root sends, until `None`. Collective but for the root."""
    from mpiapps.comm.messages import MessageChannel

    orders = MessageChannel(comm, ORDER_TAG)
    reports = MessageChannel(comm, REPORT_TAG)
    while True:
        if executor.running:
            message = orders.poll(root)
        else:
            message = orders.recv(root, max_sleep=IDLE_POLL_SECONDS)
        while message is not None:
            order = message[1]
            if order is None:
                reports.close()
                return
            if order == STOP:
                executor.stop()
            else:
                executor.submit(order)
            message = orders.poll(root)
        if records := executor.wait(POLL_SECONDS):
            reports.isend(root, records)


def _on_rank_failure(state: FarmState, agents: list[int], rank: int) -> None:
    """Requeue the tasks of a failed rank, if it was a node agent."""
    tasks = state.mark_lost(agents.index(rank)) if rank in agents else []
    write_err(f"mpiapps: rank {rank} failed; {len(tasks)} tasks are requeued\n")


def _report_failure(record: dict[str, Any]) -> None:
    """Print a failed task to standard error."""
    code = record["code"]
    status = f"signal {-code}" if code < 0 else f"exit code {code}"
    reason = f" ({record['reason']})" if record["reason"] else ""
    log = f"logs/{record['task']}.{record['attempt']}"
    command = os.fsencode(record["command"]).decode(errors="backslashreplace")
    write_err(f"mpiapps: {status}{reason}: {command} ({log})\n")


def _stopped(ctx: RunContext, values: dict[str, Any]) -> Checkpointed:
    """Return the error of a run that stops early. Collective."""
    return ctx.stop(
        f"stopped with {values['done']} tasks done, {values['failed']} failed and"
        f" {values['remaining']} left",
        1 - values["remaining"] / values["tasks"],
    )


def _farm_state(options: Options, cores: list[int], deadline: Deadline) -> FarmState:
    """Return the state of the run directory, locked by this process."""
    tasks = by_identity(_tasks(options))
    if not tasks:
        raise InputError(f"{options.tasks}: no tasks, only blank lines and comments")
    unnamed = options.param or options.tasks == "-"
    folder = options.directory or ("farm" if unnamed else f"{options.tasks}.farm")
    lock = partial(DirectoryLock, force_unlock=options.force_unlock)
    return FarmState(
        *(tasks, Path(folder), cores, lock, deadline),
        part=options.part,
        drain=options.drain,
    )


def _tasks(options: Options) -> Iterator[Task]:
    """Yield the tasks, with the default limits of the options."""
    defaults = Task(
        "",
        seconds=options.time,
        memory=options.memory,
        cores=options.cores,
        retries=options.retries,
    )
    if options.param:
        yield from grid(options.tasks, options.param, defaults)
    else:
        yield from read_file(options.tasks, defaults)


PROGRAM = Program(
    "farm",
    "Run many shell commands, each once.",
    Options,
    run,
    check,
    reads_stdin=lambda options: options.tasks == "-" and not options.param,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
