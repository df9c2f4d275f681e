"""A job script, parsed into directives and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from mpiapps.batch.directives import Directive, read
from mpiapps.batch.options import DIALECTS


class Script:
    """A job script, parsed for `mpiapps lint` and `explain`."""

    def __init__(self, text: str, folder: Path, max_array: int = 1001) -> None:
        """Parse `text`, submitted from `folder` under the limit `max_array`."""
        self.text, self.folder, self.max_array = text, folder, max_array
        self.lines = list(enumerate(text.splitlines(), 1))
        self.commands = [
            (number, line.strip())
            for number, line in self.lines
            if line.strip() and not line.lstrip().startswith("#")
        ]
        self.late: list[int] = []  # directives that are not read
        self.directives: dict[str, list[Directive]] = {}
        for scheduler, dialect in DIALECTS.items():
            found = [
                (number, line[match.end() :])
                for number, line in self.lines
                if (match := re.match(dialect.start, line))
            ]
            last = self.first_command if not dialect.whole else len(self.lines)
            self.late += [number for number, _ in found if number > last]
            early = [(number, line) for number, line in found if number <= last]
            self.directives[scheduler] = read(scheduler, early)

    @cached_property
    def first_command(self) -> int:
        """The number of the first command line, or of the last line."""
        return self.commands[0][0] if self.commands else len(self.lines)

    def options(self, scheduler: str, *names: str) -> list[Directive]:
        """Return the directives with one of these names."""
        return [each for each in self.directives[scheduler] if each.name in names]

    def value(self, scheduler: str, name: str, part: int = 0) -> str:
        """Return the last value of an option, or an empty string."""
        found = [e.value for e in self.options(scheduler, name) if e.part == part]
        return found[-1] if found else ""

    def calls(self, pattern: str) -> Iterator[tuple[int, str]]:
        """Yield the command lines that match `pattern`."""
        for number, line in self.commands:
            if re.search(pattern, line):
                yield number, line
