"""A function of one's own on files, or on ranges of their lines."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpiapps.base.errors import UsageError
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
        self._function = load(name)
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


def load(name: str) -> Callable[[Any], Any]:
    """Return the function that ``module:function`` names. Local."""
    module, _, word = name.partition(":")
    if not word:
        raise UsageError(f"{name!r} names no function; give module:function")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
        for part in word.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{name}: {error}") from error
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}, not a function")
    function: Callable[[Any], Any] = found
    return function
