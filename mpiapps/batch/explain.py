"""Explain the directives of a job script, for `mpiapps explain`."""

from __future__ import annotations

from dataclasses import dataclass

from mpiapps.base.errors import UsageError
from mpiapps.batch.directive_parser import Directive
from mpiapps.batch.options import DirectiveSyntax
from mpiapps.batch.parsed_script import Script
from mpiapps.batch.scheduler import syntaxes


@dataclass(frozen=True)
class Line:
    """One option: the number of its line, the line, the option, and its meaning."""

    number: int
    text: str
    option: str
    meaning: str


def explain(text: str) -> list[Line]:
    """Return the meaning of each option in the directives of a script.

    Raises
    ------
    UsageError
        If it has no directives.
    """
    known, texts = syntaxes(), text.splitlines()
    script = Script(text, known)
    ignored = f"Ignored: after the first command, in line {script.first_command}."
    lines = [Line(n, texts[n - 1], texts[n - 1], ignored) for n in script.ignored]
    lines += [
        Line(
            directive.line,
            texts[directive.line - 1],
            directive.text,
            meaning(known[name], directive),
        )
        for name, directives in script.directives.items()
        for directive in directives
    ]
    if not lines:
        prefixes = ", ".join(syntax.prefix for syntax in known.values())
        raise UsageError(f"the script has no directives; they begin with {prefixes}")
    return sorted(lines, key=lambda line: line.number)


def meaning(syntax: DirectiveSyntax, directive: Directive) -> str:
    """Return the meaning of one option."""
    if directive.fault:
        return f"Not accepted: {directive.fault}."
    text = directive.option.meaning if directive.option else ""
    if not text:
        return f"An option that is not explained here: see `man {syntax.command}`."
    return text.replace("{}", directive.value)
