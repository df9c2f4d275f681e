"""Completion of the `mpiapps` command in shells, by shtab from its parsers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mpiapps.app.parser import Parser
from mpiapps.app.program import programs
from mpiapps.app.runner import program_parser
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.base.optional import import_optional

SHELLS = ("bash", "zsh", "fish")
# Metavars of values that are completed as paths.
FILES = ("FILE", "SCRIPT", "TASKS", "MANIFEST", "IMAGE")
DIRECTORIES = ("DIR", "DIRECTORY")
# shtab's script for zsh registers its function in `eval`; `source` runs it at once.
SHTAB_EVAL = "== eval ]]"


def completion_script(
    parser: Parser, commands: Mapping[str, Parser], shell: str
) -> str:
    """Return the script that completes a command in a shell.

    Programs are completed with their options after ``run``, by name where another
    command has an argument ``PROGRAM``.

    Parameters
    ----------
    parser : Parser
    commands : mapping of str to Parser
        Its sub-commands, which are changed.
    shell : {"bash", "zsh", "fish"}

    Raises
    ------
    LaunchError
        If shtab is not installed.
    """
    shtab = import_optional("shtab", "shell", "mpiapps completion")
    known = list(programs())
    paths = dict.fromkeys(FILES, shtab.FILE) | dict.fromkeys(
        DIRECTORIES, shtab.DIRECTORY
    )
    parsers = [*commands.values(), *add_programs(commands["run"])]
    for action in (action for each in parsers for action in each._actions):
        if action.metavar == "PROGRAM" and not action.choices:
            action.choices = known
        if action.metavar in paths:
            vars(action)["complete"] = paths[action.metavar]  # read by shtab
    script: str = shtab.complete(parser, shell=shell)
    return script.replace(SHTAB_EVAL, "== (eval|file) ]]")


def add_completion(commands: Any) -> None:
    """Add the command to the parser of `mpiapps`."""
    command = commands.add_parser(
        "completion", help="print the script that completes mpiapps in a shell"
    )
    command.add_argument("shell", choices=SHELLS, help="the shell that reads it")


def add_programs(run: Parser) -> Iterator[Parser]:
    """Replace the positional arguments of a command by programs; yield their parsers.

    They also accept the options of the command, as ``mpiapps run pi -n 4`` does.
    """
    options = [action for action in run._actions if action.option_strings[1:]]
    for action in [action for action in run._actions if not action.option_strings]:
        run._remove_action(action)
    commands = run.add_subparsers(metavar="PROGRAM")
    for name, program in programs().items():
        parent = program_parser(program, LaunchEnvironment())
        parser = commands.add_parser(
            name, help=program.summary, parents=[parent], conflict_handler="resolve"
        )
        for option in options:
            parser._add_action(option)
        yield parser
