"""The rules of `mpiapps lint`: their form, and rules that differ only in data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mpiapps.batch.parsed_script import Script

Problems = Iterator[tuple[int, str]]  # line (0: the whole script), problem
Find = Callable[[Script], Problems]


@dataclass(frozen=True)
class Rule:
    """A known problem of job scripts: name, remedy, and the function that finds it."""

    name: str
    remedy: str
    find: Find


def rule(name: str, remedy: str) -> Callable[[Find], Rule]:
    """Return a decorator that makes a rule of a function."""
    return lambda find: Rule(name, remedy, find)


def values(scheduler: str, option: str, pattern: str, problem: str) -> Find:
    """Return a function that finds values of an option that match `pattern` whole.

    In `problem`, ``{value}`` is replaced by the value, ``{0}`` by the first group.
    """

    def find(script: Script) -> Problems:
        for directive in script.options(scheduler, option):
            if match := re.fullmatch(pattern, directive.value):
                text = problem.format(*match.groups(), value=directive.value)
                yield directive.line, text

    return find


def short_time(scheduler: str, option: str) -> Rule:
    """Return a rule for time limits in minutes and seconds."""
    find = values(scheduler, option, r"(\d+):(\d+)", "{value} is {0} min {1} s")
    return Rule("short-time", "write hours:minutes:seconds: 1:30:00", find)


def isolated_gpus(scheduler: str, option: str, pattern: str, remedy: str) -> Rule:
    """Return a rule for requests that give each rank GPUs of its own."""
    problem = "{value}: ranks do not see each other's GPUs, and cannot copy directly"
    return Rule("gpu-isolation", remedy, values(scheduler, option, pattern, problem))


def whole_environment(scheduler: str, option: str, pattern: str = ".*") -> Rule:
    """Return a rule for options that pass the whole environment to the job."""
    problem = f"{option}: the job depends on the environment of its submission"
    find = values(scheduler, option, pattern, problem)
    return Rule("environment", "name the variables that the job needs", find)
