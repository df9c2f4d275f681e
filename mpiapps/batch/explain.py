"""Explain the directives of a job script, for `mpiapps explain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mpiapps.base.errors import UsageError
from mpiapps.batch.directives import Directive
from mpiapps.batch.options import DIALECTS
from mpiapps.batch.scheduler import TABLE
from mpiapps.batch.script import Script


@dataclass(frozen=True)
class Line:
    """One option: the number of its line, the line, the option, and its meaning."""

    number: int
    text: str
    option: str
    meaning: str


def explain(script: str) -> list[Line]:
    """Return the meaning of each option in the directives of `script`.

    Raises
    ------
    UsageError
        If it holds no directive of any scheduler.
    """
    read, texts = Script(script, Path()), script.splitlines()
    ignored = (
        f"Ignored: it comes after the first command, in line {read.first_command}."
    )
    lines = [Line(n, texts[n - 1], texts[n - 1], ignored) for n in read.late]
    lines += [
        Line(each.line, texts[each.line - 1], each.text, meaning(scheduler, each))
        for scheduler, found in read.directives.items()
        for each in found
    ]
    if not lines:
        prefixes = ", ".join(each.prefix for each in TABLE.values())
        raise UsageError(f"no directive in the script; they begin with {prefixes}")
    return sorted(lines, key=lambda line: line.number)


def meaning(scheduler: str, directive: Directive) -> str:
    """Return the meaning of one option."""
    if directive.fault:
        return f"Not accepted: {directive.fault}."
    command = DIALECTS[scheduler].command
    text = directive.option.meaning if directive.option else ""
    if not text:
        return f"An option that is not explained here: see `man {command}`."
    return text.replace("{}", directive.value)
