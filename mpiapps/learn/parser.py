"""The command line of `mpiapps learn`; imports nothing that it runs."""

from __future__ import annotations

from argparse import ArgumentTypeError, Namespace
from typing import Any

from mpiapps.base.units import parse_time

LIMIT = 60.0  # s


def add_learn(commands: Any) -> None:
    """Add the command to the parser of `mpiapps`."""
    parser = commands.add_parser(
        "learn",
        help="list, copy and check exercises in MPI",
        description="Without an exercise, list them, and which are done in this"
        " directory. With one, copy its starting file; with --check, run an answer on 1"
        " to 4 ranks and explain what is wrong.",
    )
    parser.add_argument(
        "exercise", nargs="?", default="", metavar="EXERCISE", help="number or name"
    )
    parser.add_argument(
        "file",
        nargs="?",
        default="",
        metavar="FILE",
        help="the answer to check (default: the name of the starting file)",
    )
    parser.add_argument("--check", action="store_true", help="check an answer")
    parser.add_argument(
        "--limit",
        type=_limit,
        default=LIMIT,
        metavar="T",
        help="time limit of a check (default: 1m)",
    )


def _limit(text: str) -> float:
    try:
        seconds = parse_time(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from error
    if seconds < 1:
        raise ArgumentTypeError(f"{text!r} is too short; give 1 s or more")
    return float(seconds)


def learn(values: Namespace) -> int:
    """List the exercises, copy a starting file, or check an answer."""
    from mpiapps.learn import command

    return command.learn(values)
