"""A job script, cut into what can be looked at: directives and commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mpiapps.batch.scheduler import TABLE


class Script:
    """A job script, cut into what the traps look at."""

    def __init__(self, text: str, folder: Path, max_array: int = 1001) -> None:
        """Take the text, where it will be submitted from, and the array's limit."""
        self.text, self.folder, self.max_array = text, folder, max_array
        self.lines = list(enumerate(text.splitlines(), 1))
        prefixes = [each.prefix for each in TABLE.values()]
        self.directives = {
            prefix: [
                (number, line.removeprefix(prefix).strip())
                for number, line in self.lines
                if line.startswith(prefix) and line != prefix
            ]
            for prefix in prefixes
        }
        self.commands = [
            (number, line.strip())
            for number, line in self.lines
            if line.strip() and not line.lstrip().startswith("#")
        ]

    def options(self, prefix: str, pattern: str) -> Iterator[tuple[int, re.Match[str]]]:
        """Yield line and match of each directive that `pattern` is found in."""
        for number, line in self.directives[prefix]:
            if match := re.search(pattern, line):
                yield number, match

    def has(self, prefix: str, pattern: str) -> bool:
        """Return whether `pattern` is found in a directive."""
        return any(True for _ in self.options(prefix, pattern))

    def calls(self, pattern: str) -> Iterator[tuple[int, str]]:
        """Yield the command lines that `pattern` is found in."""
        for number, line in self.commands:
            if re.search(pattern, line):
                yield number, line
