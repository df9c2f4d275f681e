"""A farm: many command lines, shared over hosts, each done once whatever is killed.

The root gives out tasks and writes the journal. The first rank of each host keeps the
tasks there at work, as many at once as the host has ranks, each in a child process of
its own. docs/farm.md tells what is promised, and what is on the disk.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, checkpoint, main, option
from mpiapps.app.progress import Progress
from mpiapps.base.errors import InputError, LaunchError, Stopped
from mpiapps.base.streams import write_err
from mpiapps.farming.books import Books
from mpiapps.farming.grid import grid
from mpiapps.farming.here import Here
from mpiapps.farming.owner import Owner
from mpiapps.farming.tasklist import Task, named, part_of, read_file

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm

    from mpiapps.comm.letters import Letters
    from mpiapps.comm.world import World

QUIET = 0.001  # s between looks at the other side, while one waits for both
LONG = 0.1  # s, if there is no other side
IDLE = 0.02  # s between looks of a rank without tasks: processors are for tasks
ORDERS, REPORTS = 10, 20  # tags; the numbers after them are for large letters
STOP = "stop"  # in place of a task: end those at work
TOLD = 10  # failed tasks that are told of while it runs


@dataclass(frozen=True)
class Options:
    """Which tasks, and where what is known of them is kept."""

    tasks: str = option(
        "",
        "a file with a command on each line, or - for standard input; with --param, the"
        " command itself",
        positional=True,
        metavar="TASKS",
    )
    param: tuple[str, ...] = option(
        (), "NAME=1:10, NAME=a,b or NAME=@FILE: a task for each", metavar="NAME=VALUES"
    )
    directory: str = option(
        "", "journal and logs (default: TASKS.farm, or farm)", metavar="FOLDER"
    )
    part: str = option(
        "", "of N parts of the tasks do the I-th, from 1: for arrays", metavar="I/N"
    )
    time: int = option(0, "of a task, unless it says otherwise", parse="time", least=0)
    memory: int = option(0, "of a task, unless it says otherwise", parse="size")
    cores: int = option(1, "of a task, unless it says otherwise", least=1)
    retries: int = option(0, "of a task, unless it says otherwise", least=0)
    shell: str = option(
        "sh", "what reads the commands: a name on PATH, as bash, or a path"
    )
    drain: int = option(
        10, "time for tasks at work when the run is to stop", parse="time", least=0
    )
    take_over: bool = option(
        False, "take the directory from a manager on another host that has ended"
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not go together. Local."""
    if not options.tasks:
        raise ValueError("name a file of tasks, or a command with --param")
    if options.part:
        part_of([], options.part)


def run(world: World, options: Options) -> Result:
    """Do the tasks that are not done. Collective."""
    from mpiapps.comm.survive import survives

    hosts = Hosts(world)
    with world.agree():
        shell = shell_of(options.shell)
    comm, here = world.comm.Dup(), Here(hosts.cpus, shell)
    values, code = None, 0
    if world.is_root:
        with world.agree():
            books = _books(options, hosts.cores)
        with books:
            with world.timed("tasks"):
                _manage(world, books, hosts.keepers, here, comm)
            books.journal.sync()
            values, code = books.report()
        values["shell"] = os.path.realpath(shell)
    else:
        with world.agree():  # on the tasks, which the root reads
            pass
        with world.timed("tasks"):
            keep(here, comm)
    here.close()
    if survives():
        world.shrink()
    else:
        comm.Free()
    values, code = world.comm.bcast((values, code))
    if values["remaining"]:
        _stop(world, options, values)
    return Result(values, [], [], code)


class Hosts:
    """The hosts of a run. Collective to make.

    Attributes
    ----------
    cpus : set of int
        The processors that ranks of this host may use, together.
    keepers : list of int
        The rank of each host that keeps its tasks at work; the root is the first.
    cores : list of int
        How many tasks of one core may be at work on each host: ranks times threads.
    """

    def __init__(self, world: World) -> None:
        masks = world.node.allgather(os.sched_getaffinity(0))
        self.cpus: set[int] = set().union(*masks)
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        mine = (
            (world.rank, world.local_size * threads) if not world.local_rank else None
        )
        found = [each for each in world.comm.allgather(mine) if each]
        self.keepers = [rank for rank, _ in found]
        self.cores = [cores for _, cores in found]


def shell_of(name: str) -> str:
    """Return the path of a shell. Local.

    Raises
    ------
    LaunchError
        If this host has none of that name.
    """
    found = shutil.which(name)
    if found is None:
        raise LaunchError(
            f"--shell {name}: no such program on {os.uname().nodename}; name one on"
            " PATH of all hosts, or give its path"
        )
    return str(Path(found).absolute())


def _manage(
    world: World, books: Books, keepers: list[int], here: Here, comm: Intracomm
) -> None:
    """Give out tasks and take in what became of them, as long as it can be. Root."""
    from mpiapps.comm.letters import Letters
    from mpiapps.comm.survive import RanksLost

    orders, reports = Letters(comm, ORDERS), Letters(comm, REPORTS)
    failed, lost = 0, set[int]()
    with Progress(world, max(1, len(books.tasks)), "the tasks") as progress:
        while books.goes_on():
            _give(books, keepers, here, orders)
            if not here.busy:
                time.sleep(QUIET)
            ended = here.ended(LONG if len(keepers) == 1 else QUIET)
            try:
                while (letter := reports.look()) is not None:
                    ended += letter[1] if letter[0] not in lost else []
            except RanksLost as error:
                lost.update(error.ranks)
                for rank in error.ranks:
                    _lose(books, keepers, rank)
            for record in ended:
                progress.add(books.take(record))
                failed += bool(record["code"])
                if record["code"] and failed <= TOLD:
                    _tell(record)
            books.journal.due()
    for rank in range(1, world.size):
        orders.send(rank, None)
    orders.close()


def _give(books: Books, keepers: list[int], here: Here, orders: Letters) -> None:
    """Begin what can begin now, or end what is at work."""
    while (found := books.next()) is not None:
        given, host = found
        if host == 0:
            here.begin(given)
        else:
            orders.send(keepers[host], given)
    if books.ends_work():
        here.stop()
        for rank in keepers[1:]:
            orders.send(rank, STOP)


def keep(here: Here, comm: Intracomm, root: int = 0) -> None:
    """Keep the tasks that the root orders at work, until it says so. Not the root."""
    from mpiapps.comm.letters import Letters

    orders, reports = Letters(comm, ORDERS), Letters(comm, REPORTS)
    while True:
        letter = orders.look(root) if here.busy else orders.wait(root, longest=IDLE)
        while letter is not None:
            if letter[1] is None:
                reports.close()
                return
            if letter[1] == STOP:
                here.stop()
            else:
                here.begin(letter[1])
            letter = orders.look(root)
        if ended := here.ended(QUIET):
            reports.send(root, ended)


def _lose(books: Books, keepers: list[int], rank: int) -> None:
    """Give the tasks of a killed rank to others, if it kept any."""
    names = books.lose(keepers.index(rank)) if rank in keepers else []
    write_err(f"mpiapps: rank {rank} is lost; {len(names)} tasks go to others\n")


def _tell(record: dict[str, Any]) -> None:
    """Say on standard error that a task failed."""
    code = record["code"]
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    why = f" ({record['why']})" if record["why"] else ""
    log = f"logs/{record['task']}.{record['attempt']}"
    command = os.fsencode(record["command"]).decode(errors="backslashreplace")
    write_err(f"mpiapps: {how}{why}: {command} ({log})\n")


def _stop(world: World, options: Options, values: dict[str, Any]) -> None:
    """Raise `Stopped` on all ranks; leave word for the job script. Collective."""
    share = 1 - values["remaining"] / values["tasks"]
    checkpoint.leave_word(world, "farm", options, share)
    raise Stopped(
        f"stopped with {values['done']} tasks done, {values['failed']} failed and"
        f" {values['remaining']} left; the same command goes on from there"
    )


def _books(options: Options, cores: list[int]) -> Books:
    """Return the books of the directory, which has this process as its manager."""
    tasks = named(_tasks(options))
    if not tasks:
        raise InputError(f"{options.tasks}: no task is in it, only blanks and comments")
    plain = options.param or options.tasks == "-"
    folder = options.directory or ("farm" if plain else f"{options.tasks}.farm")
    owner = partial(Owner, take_over=options.take_over)
    return Books(
        *(tasks, Path(folder), cores, owner), part=options.part, drain=options.drain
    )


def _tasks(options: Options) -> Iterator[Task]:
    """Yield the tasks, with the limits that hold for all. Root only."""
    common = Task(
        "",
        seconds=options.time,
        memory=options.memory,
        cores=options.cores,
        retries=options.retries,
    )
    if options.param:
        yield from grid(options.tasks, options.param, common)
    else:
        yield from read_file(options.tasks, common)


PROGRAM = Program(
    "farm",
    "Do many command lines, each once.",
    Options,
    run,
    check,
    reads_stdin=lambda options: options.tasks == "-" and not options.param,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
