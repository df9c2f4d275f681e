"""A command line with options and positional arguments in any order.

Each rank parses it before MPI_Init, so that ``--help`` and invalid options do not start
MPI; only the launcher's rank 0 prints, and all ranks exit with the same code.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from mpiapps.app.options import VerbatimAction
from mpiapps.base.errors import FileAccessError
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.base.streams import write_err, write_out
from mpiapps.launch.exit_before_mpi import end_all

_STDOUT = object()  # standard output, even if it is closed


class Parser(argparse.ArgumentParser):
    """An argument parser that prints on one rank only, and suggests similar options."""

    def __init__(
        self, *, launch: LaunchEnvironment | None = None, **kwargs: Any
    ) -> None:
        """Accept the arguments of `ArgumentParser`, and a launch environment."""
        super().__init__(**kwargs, allow_abbrev=False)
        self._launch = launch or LaunchEnvironment()

    def _print_message(self, message: str, file: Any = None) -> None:
        if not (self._launch.is_reporting_rank and message):
            return
        if file is None or file is sys.stderr:
            write_err(message)
            return
        try:
            write_out(message)
        except FileAccessError as error:
            self.exit(error.exit_code, f"{self.prog}: error: {error}\n")

    def print_help(self, file: Any = None) -> None:
        """Print the help to standard output, on one rank."""
        self._print_message(self.format_help(), file or _STDOUT)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Print `message` on one rank and exit with `status`, on all ranks."""
        if status:
            end_all(self._launch, status, message or "")
        self._print_message(message or "")
        sys.exit(status)

    def error(self, message: str) -> NoReturn:
        """Print `message` and a line with the help command, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}\ntry: {self.prog} --help\n")

    def parse_intermixed(self, argv: Sequence[str]) -> argparse.Namespace:
        """Return the parsed `argv`, in any order; exit with 2 if it is invalid."""
        values, unknown = self.parse_known(argv)
        if unknown:
            self.error(self.unknown_message(unknown[0]))
        return values

    def parse_known(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Return the parsed `argv` and its unknown arguments.

        `argparse` assigns the first group of positional arguments to all actions that
        accept it, and refuses those behind a later option; it parses a value such as
        ``-5:5`` as an option. So this passes options first, each joined to its value.
        """
        options: list[str] = []
        positional: list[str] = []
        for arguments, action in self.groups(argv):
            if action is None and not _is_option(arguments[0]):
                positional += arguments
            elif action is None or action.nargs is not None or len(arguments) == 1:
                options += arguments
            else:
                options.append(f"{action.option_strings[-1]}={arguments[1]}")
        if positional and not self._takes_rest() and positional[0] != "--":
            positional = ["--", *positional]
        values, unknown = self.parse_known_args([*options, *positional])
        return values, [argument for argument in unknown if argument != "--"]

    def groups(
        self, argv: Sequence[str]
    ) -> Iterator[tuple[list[str], argparse.Action | None]]:
        """Yield each option of `argv` with its values, and each other argument.

        ``--`` is in one group with all arguments behind it, as is the first positional
        argument of a parser whose last one takes the rest of the command line.
        """
        remaining = deque(argv)
        while remaining:
            group = [remaining.popleft()]
            action, has_value = self._option(group[0])
            if action is None:
                is_positional = not _is_option(group[0])
                if group == ["--"] or (is_positional and self._takes_rest()):
                    group += remaining
                    remaining.clear()
            elif not has_value:
                for _ in range(self._count_values(action, remaining)):
                    group.append(remaining.popleft())
            yield group, action

    def _option(self, argument: str) -> tuple[argparse.Action | None, bool]:
        """Return the action of an option, and whether its value is joined to it."""
        actions = self._option_string_actions
        name, equals, _ = argument.partition("=")
        if name in actions:
            return actions[name], bool(equals)
        is_long = argument[:2] == "--"
        action = None if is_long else actions.get(argument[:2])  # such as -n4
        return action, action is not None

    def _takes_rest(self) -> bool:
        return any(action.nargs == argparse.REMAINDER for action in self._actions)

    def _count_values(self, action: argparse.Action, arguments: Iterable[str]) -> int:
        """Return how many of the next `arguments` are values of an option."""
        if action.nargs == 0:
            return 0
        count = 0
        for argument in arguments:
            name = argument.partition("=")[0]
            is_option = name in self._option_string_actions
            if argument == "--" or (
                is_option and not isinstance(action, VerbatimAction)
            ):
                break
            if action.nargs is None:  # any value, also one that looks like an option
                return 1
            if count and not _is_value(action, argument):
                break
            count += 1
        return count

    def options(self) -> set[str]:
        """Return the long options."""
        names = (name for action in self._actions for name in action.option_strings)
        return {name for name in names if name[:2] == "--"}

    def unknown_message(self, argument: str) -> str:
        """Return the error message for an unknown argument, with similar options."""
        names = sorted(self.options())
        name = argument.partition("=")[0]
        if name in names:
            return f"{name} is after --, where nothing is an option; remove the --"
        if suggestion := did_you_mean(name, names):
            return f"unknown option {name}{suggestion}"
        return f"unknown argument {argument}; the options are {' '.join(names)}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a suggestion of the names similar to `name`, or an empty string."""
    similar = difflib.get_close_matches(name, names, n=2)
    return f"; did you mean {' or '.join(similar)}?" if similar else ""


def _is_option(argument: str) -> bool:
    """Return whether an argument looks like an option: ``-`` and numbers do not."""
    return argument[:1] == "-" and not re.fullmatch(r"-|-\.?\d.*", argument)


def _is_value(action: argparse.Action, text: str) -> bool:
    """Return whether `text` is a valid value of `action`."""
    parse = action.type if callable(action.type) else str
    try:
        parse(text)
    except (ValueError, argparse.ArgumentTypeError):
        return False
    return True
