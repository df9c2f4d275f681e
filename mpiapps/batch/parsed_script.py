"""A job script, parsed into directives and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path

from mpiapps.batch.directive_parser import Directive, read_lines
from mpiapps.batch.options import DirectiveSyntax


class Script:
    """A job script, parsed for `mpiapps lint` and `explain`."""

    def __init__(
        self,
        text: str,
        syntaxes: Mapping[str, DirectiveSyntax],
        directory: Path = Path(),
        max_array: int = 1001,
    ) -> None:
        """Parse `text`, submitted from `directory` under the limit `max_array`."""
        self.text, self.directory, self.max_array = text, directory, max_array
        self.lines = list(enumerate(text.splitlines(), 1))
        self.commands = [
            (number, line.strip())
            for number, line in self.lines
            if line.strip() and not line.lstrip().startswith("#")
        ]
        self.ignored: list[int] = []  # lines of directives that no scheduler reads
        self.directives: dict[str, list[Directive]] = {}
        for scheduler, syntax in syntaxes.items():
            lines = [
                (number, line[match.end() :])
                for number, line in self.lines
                if (match := re.match(syntax.start_pattern, line))
            ]
            last = len(self.lines) if syntax.whole else self.first_command
            self.ignored += [number for number, _ in lines if number > last]
            lines = [(number, line) for number, line in lines if number <= last]
            self.directives[scheduler] = read_lines(syntax, lines)

    @cached_property
    def first_command(self) -> int:
        """The number of the first command line, or of the last line."""
        return self.commands[0][0] if self.commands else len(self.lines)

    def options(self, scheduler: str, *names: str) -> list[Directive]:
        """Return the directives with one of these names."""
        return [option for option in self.directives[scheduler] if option.name in names]

    def value(self, scheduler: str, name: str, component: int = 0) -> str:
        """Return the last value of an option, or an empty string."""
        options = self.options(scheduler, name)
        values = [option.value for option in options if option.component == component]
        return values[-1] if values else ""

    def calls(self, pattern: str) -> Iterator[tuple[int, str]]:
        """Yield the command lines that match `pattern`."""
        for number, line in self.commands:
            if re.search(pattern, line):
                yield number, line
