"""Where quotes of CSV files are open, at the places where the files are cut."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mpiapps.filework.columns import KERNELS, Column, Place
from mpiapps.filework.operation import Operation
from mpiapps.filework.reading import Reader, opened
from mpiapps.filework.segments import OPENING, Segment
from mpiapps.kernels.records import NEWLINE, PLAIN, STATES, pass_quotes


class Quotes(Operation):
    """Finds where quotes are open, to know which line ends are inside of some. Local.

    Parameters
    ----------
    source : Column
    """

    kernels: Sequence[Callable[..., Any]] = KERNELS
    opening = OPENING

    def __init__(self, source: Column) -> None:
        self._source, self._reader = source, Reader()

    def warm(self) -> None:
        """Call the kernels once."""
        self._source.warm()

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return self._source.cuts(name)

    def do(self, segment: Segment) -> list[int]:
        """Return what becomes of each of `STATES` in these bytes."""
        ends = np.array(STATES)
        form = self._source.form(segment.name)
        if segment.whole or form.quote < 0:
            return list(STATES)
        start = min(
            max(segment.start, self._source.layout(segment).start), segment.stop
        )
        before = NEWLINE
        if start == segment.start > 0:
            with opened(segment) as file:
                (before,) = os.pread(file, 1, start - 1) or b"\0"
        for block in self._reader.blocks(segment._replace(start=start)):
            pass_quotes(block, before, *form, ends)
            before = int(block[-1])
        found: list[int] = ends.tolist()
        return found

    def kept(self, segment: Segment, value: Any) -> Any:
        """Return the states with the place behind these bytes."""
        return segment.stop, value


def inside_quotes(
    results: Mapping[int, Sequence[tuple[int, list[int]]]],
) -> dict[Place, int]:
    """Return the places at which quotes are open, or have just ended. Local.

    `results`: what `Quotes` found in the segments of each file, in order.
    """
    found = {}
    for file, parts in results.items():
        state = PLAIN
        for stop, ends in parts:
            state = ends[STATES.index(state)]
            if state != PLAIN:
                found[file, stop] = state
    return found
