"""A function of one's own on files, or on ranges of their lines."""

from __future__ import annotations

import json
from typing import Any

from mpiapps.base.named import named
from mpiapps.filework.operation import Operation
from mpiapps.filework.reading import Reader, at_line, lines
from mpiapps.filework.segments import Segment


class Own(Operation):
    """Calls a function. Local.

    Parameters
    ----------
    name : str
        ``module:function``; the module may lie in the working directory.
    records : bool
        Call it with an iterator over lines (bytes, without their ends) of a range of
        the file; else with the file's name.

    Raises
    ------
    UsageError
        If there is no such function.
    """

    def __init__(self, name: str, *, records: bool) -> None:
        self._function = named(name)
        self._records = records
        self._reader = Reader(at_line)

    def cuts(self, name: str) -> bool:
        """Return whether lines are wanted, and the file can be read from its middle."""
        return self._records and self._reader.cuts(name)

    def do(self, segment: Segment) -> Any:
        """Return what the function returns; it must be JSON's to hold."""
        if self._records:
            value = self._function(lines(segment, self._reader))
        else:
            value = self._function(segment.name)
        return json.loads(json.dumps(value, allow_nan=False))

    def kept(self, segment: Segment, value: Any) -> Any:
        """Return the value with its place in the file."""
        return segment.start, value
