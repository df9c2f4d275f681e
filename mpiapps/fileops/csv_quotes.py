"""State of the quotes of CSV files at the offsets where the files are split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mpiapps.fileops.column_source import ColumnSource, FilePosition
from mpiapps.fileops.columns import ColumnOperation
from mpiapps.fileops.file_run import FileRun
from mpiapps.fileops.reading import SegmentReader, open_segment
from mpiapps.fileops.run_segments import segments_of
from mpiapps.fileops.segments import Segment
from mpiapps.kernels.records import NEWLINE, PLAIN, STATES, advance_quote_states


class QuoteStates(ColumnOperation[ColumnSource]):
    """Find the effect of each segment on the quote state, for each state at its start.

    Parameters
    ----------
    source : ColumnSource
    """

    def __init__(self, source: ColumnSource) -> None:
        super().__init__(source)
        self._reader = SegmentReader()

    def execute(self, segment: Segment) -> list[int]:
        """Return the state after the segment for each of `STATES` before it."""
        states = np.array(STATES)
        dialect = self._source.dialect(segment.name)
        if segment.whole or dialect.quote < 0:
            return list(STATES)
        data_start = self._source.position(segment).start
        start = min(max(segment.start, data_start), segment.stop)
        previous = NEWLINE
        if start == segment.start > data_start:
            with open_segment(segment) as file:
                (previous,) = os.pread(file, 1, start - 1) or b"\0"
        for block in self._reader.blocks(segment._replace(start=start)):
            advance_quote_states(block, previous, *dialect, states)
            previous = int(block[-1])
        return [int(state) for state in states]

    def for_root(self, segment: Segment, value: Any) -> Any:
        """Return the end of the segment, and its states."""
        return segment.stop, value


def quote_states(
    results: Mapping[int, Sequence[tuple[int, list[int]]]],
) -> dict[FilePosition, int]:
    """Return the state at each position at which quotes are open or have just ended.

    `results`: those of `QuoteStates` for the segments of each file, in order.
    """
    at_position = {}
    for file, segments in results.items():
        state = PLAIN
        for stop, states in segments:
            state = states[STATES.index(state)]
            if state != PLAIN:
                at_position[file, stop] = state
    return at_position


def read_quote_states(run: FileRun, source: ColumnSource) -> None:
    """Set the `quote_states` of a source, by a pass over the files. Collective.

    Files that are not split, and those of Parquet, need none.
    """
    operation = QuoteStates(source)
    segments = segments_of(run.listing, operation)
    split = set(segments.file[segments.start > 0].tolist())
    if any(source.dialect(run.listing.names[n]).quote >= 0 for n in split):
        quotes = run.execute(operation, "quotes")
        comm = run.ctx.world.comm
        source.quote_states = comm.bcast(quote_states(quotes.by_file()))
