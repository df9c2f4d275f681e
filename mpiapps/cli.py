"""The `mpiapps` command: programs, here and as jobs. Loads no MPI, no NumPy."""

from __future__ import annotations

import json
import shlex
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import mpiapps
from mpiapps.app.mpiexec import become, command_line, find_launcher
from mpiapps.app.options import Parser, add_options, option
from mpiapps.app.output import as_csv
from mpiapps.app.program import programs
from mpiapps.app.runner import parse as parse_program
from mpiapps.base.errors import MpiAppsError
from mpiapps.base.launcher import Launch
from mpiapps.base.stdin import spool
from mpiapps.base.threads import physical_cores
from mpiapps.batch.parser import COMMANDS, add_commands
from mpiapps.batch.request import SCHEDULERS


@dataclass(frozen=True)
class Plan:
    """What `mpiapps farm plan` must know."""

    each: int = option(
        0, "what a task takes (default: as the journal tells)", parse="time"
    )
    cores: int = option(32, "of a host", least=1)
    wall: int = option(4 * 3600, "of a job, at most", parse="time", least=60)
    most: int = option(1000, "elements that an array may have", least=1)
    scheduler: str = option(
        "", "print the script of the best way", choices=("", *SCHEDULERS)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; return its exit code."""
    parser = _parser()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words[:1] and words[0] in COMMANDS:
            return job_command(parser, words)
        # What follows `run PROGRAM` may be the program's own, and is read by it.
        values, rest = parser.parse_known_args(words)
        if values.command in OWN:
            if rest:
                parser.error(f"unknown argument {rest[0]}")
            return OWN[values.command](values)
        if values.program is None:  # `mpiapps run`, with or without --help
            sys.stdout.write(values.usage())
            return 0 if rest else 2
        return run(values.program, values.ntasks, rest)
    except MpiAppsError as error:
        sys.stderr.write(f"mpiapps: error: {error}\n")
        return error.exit_code


def job_command(parser: Parser, words: list[str]) -> int:
    """Run one of the commands about jobs; what follows ``--`` is the program's."""
    cut = words.index("--") if "--" in words else len(words)
    values, unknown = parser.parse_known_args(words[:cut])
    if unknown:
        values.parser.error(values.parser.unknown(unknown[0]))
    from mpiapps.batch import commands

    code: int = getattr(commands, values.command)(values, words[cut + 1 :])
    return code


def show(_: Namespace) -> int:
    """Print every program with what it does. Local."""
    found = programs()
    width = max(map(len, found))
    for name, program in found.items():
        sys.stdout.write(f"{name:<{width}}  {program.summary}\n")
    return 0


def farm(values: Namespace) -> int:
    """Print how a farm is, or what is not as its journal says; 4 if there is such."""
    from mpiapps.farming import status

    if values.what == "plan":
        return plan(values)
    folder = Path(values.directory)
    if values.what == "table":
        rows = list(status.table(folder))
        sys.stdout.write(json.dumps(rows) + "\n" if values.json else as_csv(rows))
        return 0
    if values.what == "verify":
        wrong = list(status.verify(folder))
        text = "".join(f"{line}\n" for line in wrong) or "all as the journal says\n"
        found: object = wrong
    else:
        wrong = []
        found = status.summary(folder)
        text = status.as_text(found)
    sys.stdout.write(json.dumps(found) + "\n" if values.json else text)
    return 4 if wrong else 0


def plan(values: Namespace) -> int:
    """Print how a list of tasks is best run, or with ``--scheduler`` its script."""
    from mpiapps.farming import plan as planning
    from mpiapps.farming.tasklist import read_file

    tasks = list(read_file(values.directory))
    folder = Path(f"{values.directory}.farm")
    seconds = planning.costs(tasks, values.each, folder)
    found = planning.ways(tasks, seconds, values.cores, values.wall, values.most)
    if values.scheduler:
        words = found[0].words(values.directory, values.scheduler)
        return job_command(_parser(), ["render", *words])
    work = sum(s * task.cores for s, task in zip(seconds, tasks, strict=True))
    text = planning.as_text(values.directory, found, work)
    told = json.dumps(planning.as_json(found)) + "\n"
    sys.stdout.write(told if values.json else text)
    return 0


def dask(values: Namespace) -> int:
    """Run a script, or a prompt, with a client of a cluster that runs in a job."""
    from mpiapps.dasking.connection import joined

    return joined(values.file, values.script, values.arguments)


OWN = {"list": show, "farm": farm, "dask": dask}


def run(name: str, ntasks: int, arguments: list[str]) -> int:
    """Become the mpiexec that runs program `name` on `ntasks` ranks. Local.

    The program's arguments are checked first, here, where an error costs no start of
    MPI. Returns 0 only for ``--help``; else mpiexec takes this process over, so its
    exit code, its signals and its terminal are the caller's.
    """
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    program = programs()[name]
    options, common = parse_program(program, arguments, Launch())
    if sys.stderr.isatty() and common.progress == "auto":
        # Ranks cannot see the terminal. What comes last may be a script's own words.
        arguments = ["--progress", "bar", *arguments]
    launcher = find_launcher()
    words = ["-m", f"mpiapps.{name}", *arguments]
    command, variables = command_line(launcher, ntasks, words)
    if program.reads_stdin(options):
        variables |= spool()
    shown = [f"{key}={text}" for key, text in variables.items()] + command
    sys.stderr.write(f"mpiapps: {shlex.join(shown)}\n")
    sys.stderr.flush()
    become(command, variables)


def _parser() -> Parser:
    parser = Parser(prog="mpiapps", description=mpiapps.__doc__)
    parser.add_argument(
        "--version", action="version", version=f"mpiapps {mpiapps.__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="name the programs")
    command = commands.add_parser(
        "farm", help="how a farm is, also while it runs; how to run one"
    )
    command.add_argument("what", choices=("status", "table", "verify", "plan"))
    command.add_argument(
        "directory", metavar="DIRECTORY", help="such as TASKS.farm; for plan, TASKS"
    )
    add_options(command.add_argument_group("for plan"), Plan)
    command.add_argument("--json", action="store_true", help="for programs to read")
    command = commands.add_parser(
        "dask", help="a prompt, or a script, with a client of a cluster in a job"
    )
    command.add_argument("what", choices=("connect",))
    command.add_argument(
        "file", metavar="FILE", help="what mpiapps.dask --connection wrote"
    )
    command.add_argument("script", nargs="?", default="", metavar="SCRIPT")
    command.add_argument("arguments", nargs="...", metavar="ARG")
    add_commands(commands)
    command = commands.add_parser(
        "run",
        help="run a program on ranks of this machine",
        description="Run a program on ranks of this machine, by the mpiexec that"
        " belongs to the loaded MPI library. All other options are the program's:"
        " mpiapps run pi --help.",
        add_help=False,  # `run PROGRAM --help` is the program's
    )
    command.set_defaults(usage=command.format_help)
    command.add_argument(
        "program",
        nargs="?",
        choices=list(programs()),
        metavar="PROGRAM",
        help="one of those that `mpiapps list` names",
    )
    command.add_argument(
        "-n",
        "--ntasks",
        type=_ranks,
        default=physical_cores(),
        help="number of ranks (default: the cores this process may use)",
    )
    return parser


def _ranks(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ArgumentTypeError(f"{text!r} is no number of ranks; give 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
