"""Task farm: run many shell commands over hosts, each once, and resume after any kill.

The commands are tasks of the engine (`mpiapps.tasks.engine`), on an executor of their
own (`mpiapps.taskfarm.slot_executor`). docs/farm.md states the guarantees and files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main, option
from mpiapps.base.errors import Checkpointed, InputError
from mpiapps.storage.replace_file import real_path
from mpiapps.taskfarm.halt import Halt
from mpiapps.taskfarm.host_runner import find_shell
from mpiapps.taskfarm.output_names import with_output_names
from mpiapps.taskfarm.parameter_grid import grid
from mpiapps.taskfarm.task_list import Task, by_identity, part_of, read_file

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.taskfarm.farm_journal import FarmJournal
    from mpiapps.taskfarm.own_files import OwnFile


@dataclass(frozen=True)
class Options:
    """The tasks, their default limits, and the run directory."""

    tasks: str = option(
        "",
        "file with one command per line, or - for standard input; with --param, the"
        " command itself",
        positional=True,
        metavar="TASKS",
        file="read",
    )
    param: tuple[str, ...] = option(
        (),
        "parameter sweep, one task per value: NAME=1:10, NAME=a,b or NAME=@FILE",
        metavar="NAME=VALUES",
    )
    directory: str = option(
        "",
        "run directory for journal and logs (default: TASKS.farm, or farm)",
        metavar="DIRECTORY",
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
    halt: str = option(
        "never",
        "when to end early: soon (wait for the running tasks) or now, and the number or"
        " percentage of tasks that fail, succeed or either: soon,fail=3, now,done=10%",
        metavar="WHEN,WHY",
    )
    stdout: str = option(
        "",
        "file for the standard output of each task, with {seq}, {name}, {task} or the"
        " name of a --param (default: the log of the task)",
        metavar="FILE",
    )
    dry_run: bool = option(False, "print the commands that would run, and run none")
    joblog: str = option(
        "",
        "write a line for each ended task to FILE, in the format of GNU parallel; with"
        " --part, {part} in its name is the number of the part",
        metavar="FILE",
        file="written",
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
        if options.joblog and "{part}" not in options.joblog:
            raise ValueError(
                f"--joblog {options.joblog}: each part writes a file of its own; put"
                " {part} into the name"
            )
    Halt.parse(options.halt)
    if options.joblog == "-":
        raise ValueError("--joblog -: give the name of a file")
    if options.joblog:
        log = str(real_path(_job_log_path(options)))
        if name := _own_file(options, job_log=False)(log):
            raise ValueError(
                f"--joblog {options.joblog}: it would replace {name}; give another name"
            )


def run(ctx: RunContext, options: Options) -> Result:
    """Run the tasks that are not done. Collective."""
    from mpiapps.taskfarm.command_tasks import CommandTasks
    from mpiapps.taskfarm.slot_executor import SlotExecutor
    from mpiapps.tasks.engine import run_tasks

    world, listed, own = ctx.world, dict[str, Task](), dict[str, Task]()
    with world.agree():
        shell = find_shell(options.shell)
        if world.is_root:
            listed = _listed(options)
            part = part_of(listed, options.part)
            own = {name: task for name, task in listed.items() if name in part}
    if options.dry_run:
        return _dry_run(ctx, options, own)
    tasks = CommandTasks(own, world.comm.bcast(len(own)))
    journal = _journal(options)
    halt = Halt.parse(options.halt)
    executor = SlotExecutor(journal, shell, options.drain, list(listed), halt)
    results = run_tasks(ctx, tasks, executor, journal)
    values = None
    if world.is_root:
        failed = int((results.values != 0).sum())
        values = {
            "tasks": results.total,
            "done": results.total - failed - results.remaining,
            "failed": failed,
            "remaining": results.remaining,
            "now": executor.ended,
            "halted": executor.halted,
            "directory": str(journal.path),
            "shell": os.path.realpath(shell),
        }
    values = world.comm.bcast(values)
    if values["remaining"] and not values["halted"]:
        raise _stopped(ctx, values)
    notes = []
    if values["remaining"]:
        notes = [f"ended by --halt {options.halt}; the same command runs the others"]
    succeeded = values["halted"] and halt.why == "success"
    return Result(values, [], notes, 3 if values["failed"] and not succeeded else 0)


def _stopped(ctx: RunContext, values: dict[str, Any]) -> Checkpointed:
    """Return the error of a run that stops early. Collective."""
    return ctx.stop(
        f"stopped with {values['done']} tasks done, {values['failed']} failed and"
        f" {values['remaining']} left",
        1 - values["remaining"] / values["tasks"],
    )


def _dry_run(ctx: RunContext, options: Options, own: dict[str, Task]) -> Result:
    """Return the commands that a run would start, in their order. Collective."""
    from mpiapps.taskfarm.attempt_queue import start_order
    from mpiapps.taskfarm.slot_executor import Hosts

    hosts, text, values = Hosts(ctx.world), "", dict[str, Any]()
    with ctx.world.agree():
        if ctx.world.is_root:
            journal = _journal(options)
            journal.load()
            tasks, done = list(own.values()), journal.recorded()
            pending = [n for n, name in enumerate(own) if name not in done]
            order = start_order(tasks, pending, hosts.cores)
            text = "".join(f"{tasks[number].command}\n" for number in order)
            values = {
                "tasks": len(own),
                "done": len(own) - len(pending),
                "failed": 0,
                "remaining": len(pending),
                "now": 0,
            }
    return Result(ctx.world.comm.bcast(values), text=text)


def _directory(options: Options) -> Path:
    """Return the run directory."""
    unnamed = options.param or options.tasks == "-"
    return Path(options.directory or ("farm" if unnamed else f"{options.tasks}.farm"))


def _journal(options: Options) -> FarmJournal:
    """Return the journal, with the job log if one is asked for."""
    from mpiapps.taskfarm.farm_journal import FarmJournal
    from mpiapps.taskfarm.job_log import JobLog

    return FarmJournal(
        _directory(options),
        options.part,
        force_unlock=options.force_unlock,
        job_log=JobLog(_job_log_path(options)) if options.joblog else None,
    )


def _job_log_path(options: Options) -> Path:
    """Return the path of the job log."""
    index = options.part.partition("/")[0]
    return Path(options.joblog.replace("{part}", index) if index else options.joblog)


def _own_file(options: Options, *, job_log: bool) -> OwnFile:
    """Return `own_file_of` the options; with the job log, if there is one."""
    from mpiapps.taskfarm.own_files import own_file_of

    values = [text.partition("=@")[2] for text in options.param]
    lists = [Path(name) for name in (values or [options.tasks]) if name]
    log = _job_log_path(options) if job_log and options.joblog else None
    return own_file_of(_directory(options), lists, log)


def _listed(options: Options) -> dict[str, Task]:
    """Return the tasks of the list by identity; raise `InputError` if it is wrong."""
    listed = by_identity(_tasks(options))
    if not listed:
        raise InputError(f"{options.tasks}: no tasks, only blank lines and comments")
    if options.part and any(t.after or t.stage for t in listed.values()):
        raise InputError(
            f"{options.tasks}: after= and barriers need all tasks in one farm; run it"
            " without --part"
        )
    if any(task.stdout for task in listed.values()):
        own_file = _own_file(options, job_log=True)
        return with_output_names(listed, _journal(options).load(), own_file)
    return listed


def _tasks(options: Options) -> Iterator[Task]:
    """Yield the tasks, with the default attributes of the options."""
    defaults = Task(
        "",
        stdout=options.stdout,
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
