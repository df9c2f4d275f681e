"""A command line whose options and operands come in any order.

Parsing happens on every rank before MPI starts, so that ``--help`` and a wrong option
cost no start of MPI; only the launcher's rank 0 prints, and all ranks exit alike.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from mpiapps.base.early import end_all
from mpiapps.base.errors import ReadWriteError
from mpiapps.base.launcher import Launch
from mpiapps.base.streams import write_err, write_out

_OUT = object()  # standard output, also where there is none


class Parser(argparse.ArgumentParser):
    """An argument parser that prints on one rank only, and names the right options."""

    def __init__(self, *, launch: Launch | None = None, **kwargs: Any) -> None:
        """Take `argparse.ArgumentParser`'s arguments, and what the launcher said."""
        super().__init__(**kwargs, allow_abbrev=False)
        self._launch = launch or Launch()

    def _print_message(self, message: str, file: Any = None) -> None:
        if not (self._launch.speaks and message):
            return
        if file is None or file is sys.stderr:
            write_err(message)
            return
        try:
            write_out(message)
        except ReadWriteError as error:
            self.exit(error.exit_code, f"{self.prog}: error: {error}\n")

    def print_help(self, file: Any = None) -> None:
        """Print the help to standard output, on one rank."""
        self._print_message(self.format_help(), file or _OUT)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Print `message` once and exit with `status`, which ends all ranks."""
        if status:
            end_all(self._launch, status, message or "")
        self._print_message(message or "")
        sys.exit(status)

    def error(self, message: str) -> NoReturn:
        """Print `message` and the way to help, in two lines, and exit with 2."""
        self.exit(2, f"{self.prog}: error: {message}\ntry: {self.prog} --help\n")

    def parse_intermixed(self, argv: Sequence[str]) -> argparse.Namespace:
        """Return the values of `argv`, options and operands in any order.

        A word that is neither ends in exit code 2.
        """
        values, unknown = self.parse_known(argv)
        if unknown:
            self.error(self.unknown(unknown[0]))
        return values

    def parse_known(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Return the values of `argv` and the words that are neither. Local.

        `argparse` gives all operands that it can take the first ones it meets, and
        refuses those behind a later option; and it takes a value such as ``-5:5`` for
        an option. So options come first here, each joined to its value.
        """
        options: list[str] = []
        operands: list[str] = []
        for words, action in self.pieces(argv):
            if action is None and not _is_option(words[0]):
                operands += words
            elif action is None or action.nargs is not None or len(words) == 1:
                options += words
            else:
                options.append(f"{action.option_strings[-1]}={words[1]}")
        if operands and not self._takes_rest() and operands[0] != "--":
            operands = ["--", *operands]
        values, unknown = self.parse_known_args([*options, *operands])
        return values, [word for word in unknown if word != "--"]

    def pieces(
        self, argv: Sequence[str]
    ) -> Iterator[tuple[list[str], argparse.Action | None]]:
        """Yield the options of `argv` with their values, and the other words. Local.

        What follows ``--`` comes in one piece with it, and so does what follows the
        first operand of a parser whose last operand takes all the rest.
        """
        left = deque(argv)
        while left:
            words = [left.popleft()]
            action, joined = self._option(words[0])
            if action is None:
                operand = not _is_option(words[0])
                if words == ["--"] or (operand and self._takes_rest()):
                    words += left
                    left.clear()
            elif not joined:
                for _ in range(self._values_of(action, left)):
                    words.append(left.popleft())
            yield words, action

    def _option(self, word: str) -> tuple[argparse.Action | None, bool]:
        """Return the option that `word` is, and whether its value is joined to it."""
        known = self._option_string_actions
        name, equals, _ = word.partition("=")
        if name in known:
            return known[name], bool(equals)
        short = known.get(word[:2]) if word[:2] != "--" else None  # such as -n4
        return short, short is not None

    def _takes_rest(self) -> bool:
        return any(action.nargs == argparse.REMAINDER for action in self._actions)

    def _values_of(self, action: argparse.Action, left: Iterable[str]) -> int:
        """Return how many of the words that are `left` are values of an option."""
        if action.nargs == 0:
            return 0
        count = 0
        for word in left:
            if word == "--" or word.partition("=")[0] in self._option_string_actions:
                break
            if action.nargs is None:  # whatever it looks like
                return 1
            if count and not _reads(action, word):
                break
            count += 1
        return count

    def options(self) -> set[str]:
        """Return the long names of the options. Local."""
        names = (name for each in self._actions for name in each.option_strings)
        return {name for name in names if name[:2] == "--"}

    def unknown(self, word: str) -> str:
        """Return what to say of a word that is not an option, with the nearest ones."""
        names = sorted(self.options())
        name = word.partition("=")[0]
        if close := did_you_mean(name, names):
            return f"unknown option {name}{close}"
        return f"unknown argument {word}; the options are {' '.join(names)}"


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Return the question for the names that are like `word`, or nothing. Local."""
    close = difflib.get_close_matches(word, names, n=2)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _is_option(word: str) -> bool:
    """Return whether `word` looks like an option: ``-`` and numbers do not."""
    return word[:1] == "-" and not re.fullmatch(r"-|-\.?\d.*", word)


def _reads(action: argparse.Action, word: str) -> bool:
    """Return whether `word` can be a value of `action`."""
    read = action.type if callable(action.type) else str
    try:
        read(word)
    except (ValueError, argparse.ArgumentTypeError):
        return False
    return True
