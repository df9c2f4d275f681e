"""The `mpiapps` command: run programs here and as jobs; imports no MPI, no NumPy."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import sys
from argparse import Action, ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

import mpiapps
from mpiapps.app.completion import add_completion, completion_script
from mpiapps.app.man_pages import add_man, write_man_pages
from mpiapps.app.output import as_csv
from mpiapps.app.parser import Parser, did_you_mean
from mpiapps.app.program import Program, find_program, programs
from mpiapps.app.runner import parse as parse_program
from mpiapps.app.runner import program_parser
from mpiapps.base.errors import LaunchError, MpiAppsError, exit_code
from mpiapps.base.launch_environment import LaunchEnvironment, detect_launch
from mpiapps.base.stdin import spool
from mpiapps.base.streams import (
    SafeStream,
    flush_out,
    reserve_streams,
    write_err,
    write_out,
)
from mpiapps.base.threads import physical_cores
from mpiapps.batch.farm_parser import add_farm
from mpiapps.batch.parser import COMMANDS, add_commands
from mpiapps.batch.unknown_options import unknown_message
from mpiapps.diagnostics import commands as diagnostics
from mpiapps.launch.exit_before_mpi import end_all
from mpiapps.launch.mpiexec import command_line, exec_launcher, find_launcher
from mpiapps.learn.parser import add_learn, learn
from mpiapps.scaffold.parser import add_new, new
from mpiapps.scaling.options import add_command as add_scaling


def main(argv: Sequence[str] | None = None) -> int:
    """Run one sub-command; return its exit code."""
    reserve_streams()
    try:
        _refuse_ranks(detect_launch(os.environ))
        code = _command(list(sys.argv[1:] if argv is None else argv))
        flush_out()
        return code
    except MpiAppsError as error:
        write_err(f"mpiapps: error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt as error:
        write_err("mpiapps: interrupted\n")
        return exit_code(error)


def _refuse_ranks(launch: LaunchEnvironment) -> None:
    """End all ranks if a launcher has started this command more than once."""
    if (launch.size or 1) == 1:
        return
    error = LaunchError(
        f"{launch.launcher} has started mpiapps as {launch.size} ranks"
        f" ({launch.size_variable}); it starts the ranks itself: use mpiapps run"
        f" PROGRAM -n {launch.size} without a launcher. In a process started by a rank,"
        f" unset {launch.size_variable}"
    )
    end_all(launch, error.exit_code, f"mpiapps: error: {error}\n", alike=True)


def _command(words: list[str]) -> int:
    parser, commands = _parser()
    name = words[0] if words else ""
    if name not in commands:
        if name and name[0] != "-":
            hint = did_you_mean(name, commands)
            if name in programs():
                hint = f"; it is a program: mpiapps run {name}"
            parser.error(f"{name!r} is not a command{hint}")
        parser.parse_args(words)  # --help, --version, or an error
    if name in COMMANDS or name == "scaling":
        return job_command(commands[name], words)
    return OWN[name](commands[name].parse_intermixed(words[1:]))


def job_command(parser: Parser, words: list[str]) -> int:
    """Run a command of jobs or studies; the program gets the arguments after ``--``."""
    cut = words.index("--") if "--" in words else len(words)
    values, unknown = parser.parse_known(words[1:cut])
    if unknown:
        program = getattr(values, "program", "")
        parser.error(unknown_message(parser, program, program_options, unknown))
    module = "scaling.command" if words[0] == "scaling" else "batch.commands"
    commands = importlib.import_module(f"mpiapps.{module}")
    code: int = getattr(commands, words[0])(values, words[cut + 1 :])
    return code


def program_options(name: str) -> set[str]:
    """Return the options of program `name`, such as ``--samples``."""
    program = find_program(name)[0] if name else None
    return program_parser(program, LaunchEnvironment()).options() if program else set()


def show(_: Namespace) -> int:
    """Print the programs and their descriptions."""
    available = programs()
    width = max(map(len, available))
    for name, program in available.items():
        write_out(f"{name:<{width}}  {program.summary}\n")
    return 0


def farm(values: Namespace) -> int:
    """Print status, table, verification or plan of a farm; return 4 on differences."""
    from mpiapps.taskfarm import status

    if values.what == "plan":
        return plan(values)
    directory = Path(values.directory)
    if values.what == "table":
        rows = list(status.table(directory))
        write_out(json.dumps(rows) + "\n" if values.json else as_csv(rows))
        return 0
    if values.what == "verify":
        errors = list(status.verify(directory))
        text = "".join(f"{line}\n" for line in errors) or "all as in the journal\n"
        content: object = errors
    else:
        errors = []
        content = status.summary(directory)
        text = status.as_text(content)
    write_out(json.dumps(content) + "\n" if values.json else text)
    return 4 if errors else 0


def plan(values: Namespace) -> int:
    """Print the strategies for a list of tasks, or the job script of the best one."""
    from mpiapps.taskfarm import strategy as planning
    from mpiapps.taskfarm.task_list import read_file

    tasks = list(read_file(values.directory))
    seconds = planning.costs(tasks, values.task_time, Path(f"{values.directory}.farm"))
    limits = values.cores, values.max_time, values.max_array
    plans = planning.strategies(tasks, seconds, *limits)
    if values.scheduler:
        argv = plans[0].argv(values.directory, values.scheduler)
        return job_command(_parser()[1]["render"], ["render", *argv])
    work = sum(s * task.cores for s, task in zip(seconds, tasks, strict=True))
    text = planning.as_text(values.directory, plans, work)
    write_out(json.dumps(planning.as_json(plans)) + "\n" if values.json else text)
    return 0


def dask(values: Namespace) -> int:
    """Run a script or a prompt with a client of a Dask cluster in a job."""
    from mpiapps.dask_cluster.scheduler_file import run_client

    return run_client(values.file, values.script, values.arguments)


def run(values: Namespace) -> int:
    """Replace this process by the mpiexec that runs a program or a script.

    The program's arguments are checked before MPI starts. Does not return: mpiexec
    replaces this process, so the caller gets its exit code, and it gets the caller's
    signals and terminal.
    """
    program, words = find_program(values.program)
    ntasks, arguments = _own_ranks(program, values.arguments)
    spooled: dict[str, str] = {}
    if program is not None:
        options, common = parse_program(
            program, arguments, LaunchEnvironment(), command=words
        )
        if common.progress == "auto" and SafeStream().isatty():
            # Ranks cannot detect the terminal. The last arguments may be a script's.
            arguments = ["--progress", "bar", *arguments]
        if program.reads_stdin(options):
            spooled = spool()
    launcher = find_launcher()
    ntasks = ntasks or values.ntasks
    command, variables = command_line(launcher, ntasks, [*words, *arguments])
    variables |= spooled
    shown = [f"{key}={text}" for key, text in variables.items()] + command
    write_err(f"mpiapps: {shlex.join(shown)}\n")
    exec_launcher(command, variables)


def _own_ranks(program: Program | None, arguments: list[str]) -> tuple[int, list[str]]:
    """Return the value of ``-n`` among the arguments, 0 without it, and the rest.

    With a program, ``-n`` may be anywhere. With a script, it must come first, since
    later options are those of the script.
    """
    parser = Parser(prog="mpiapps run", add_help=False)
    if program is not None:
        parser = program_parser(program, LaunchEnvironment())
    else:
        parser.add_argument("rest", nargs="...")
    action = add_ranks(parser, default=0)
    groups = list(parser.groups(arguments))
    own = [word for words, option in groups if option is action for word in words]
    rest = [word for words, option in groups if option is not action for word in words]
    if rest[:1] == ["--"]:
        rest = rest[1:]
    reader = Parser(prog="mpiapps run", add_help=False)
    add_ranks(reader, default=0)
    return reader.parse_args(own).ntasks, rest


def completion(values: Namespace) -> int:
    """Print the script that completes `mpiapps` in a shell."""
    write_out(completion_script(*_parser(), values.shell))
    return 0


def man(values: Namespace) -> int:
    """Write the man pages; print how to read one."""
    directory = Path(values.directory)
    pages = write_man_pages(directory, *_parser())
    command = shlex.join(["man", "-M", values.directory, pages[0].stem])
    write_out(f"{len(pages)} pages in {directory / 'man1'}; read one: {command}\n")
    return 0


OWN = {"list": show, "farm": farm, "dask": dask, "run": run, "learn": learn}
OWN |= {"completion": completion, "man": man, "new": new}
OWN |= {"doctor": diagnostics.doctor, "report": diagnostics.report}


def _parser() -> tuple[Parser, dict[str, Parser]]:
    """Return the parser of `mpiapps`, and the parsers of its commands by name."""
    parser = Parser(prog="mpiapps", description=mpiapps.__doc__)
    parser.add_argument(
        "--version", action="version", version=f"mpiapps {mpiapps.__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("list", help="list the programs")
    add_farm(commands)
    command = commands.add_parser(
        "dask", help="run a script or a prompt with a client of a Dask cluster in a job"
    )
    command.add_argument(
        "what", choices=("connect",), help="connect: start Python with a client"
    )
    command.add_argument("file", metavar="FILE", help="scheduler file of mpiapps.dask")
    command.add_argument(
        "script", nargs="?", default="", metavar="SCRIPT", help="default: a prompt"
    )
    command.add_argument(
        "arguments", nargs="...", metavar="ARG", help="arguments of the script"
    )
    add_commands(commands)
    add_scaling(commands)
    diagnostics.add_commands(commands)
    command = commands.add_parser(
        "run",
        help="run a program on ranks of this machine",
        description="Run a program on ranks of this machine, with the mpiexec of the"
        " loaded MPI library. All other options are those of the program: mpiapps run"
        " pi --help.",
    )
    command.add_argument(
        "program",
        metavar="PROGRAM",
        help="a program of `mpiapps list`, or script.py",
    )
    command.add_argument(
        "arguments", nargs="...", metavar="ARG", help="arguments of the program"
    )
    add_ranks(command, default=physical_cores())
    add_learn(commands)
    add_new(commands)
    add_completion(commands)
    add_man(commands)
    return parser, dict(commands.choices)


def add_ranks(parser: Parser, default: int) -> Action:
    """Add the option for the number of ranks."""
    return parser.add_argument(
        "-n",
        "--ntasks",
        type=_ranks,
        default=default,
        help="number of ranks (default: the number of available cores)",
    )


def _ranks(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise ArgumentTypeError(f"{text!r} is not a number of ranks; give 1 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
