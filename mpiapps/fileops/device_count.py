"""Lines, words and characters of files, counted on a CUDA device."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.device import text
from mpiapps.device.cuda import device_errors
from mpiapps.device.text import TextCounter
from mpiapps.fileops.count import TextCount, join_words
from mpiapps.fileops.segments import Segment
from mpiapps.kernels.utf8 import OUTSIDE, UNKNOWN


class DeviceTextCount(TextCount):
    """`TextCount` on the current device, without `top`; equal results.

    Files are read to pinned memory, from which they are copied while the next part is
    read. Small files, many of which a CPU counts in the time of one copy, are counted
    on the CPU.
    """

    splits_compressed = False  # a device counts faster than a core decompresses
    _line_counts = frozenset()  # a device counts all at once

    def warm_up(self) -> None:
        """Compile the kernels of both, and allocate the memory of the device."""
        super().warm_up()
        with device_errors():
            self._counter = TextCounter(
                self.encoding, text.CHUNK_BYTES, text.PART_BYTES
            )
            self._counter.buffer[0] = 0
            self._counter.submit(1)
            self._counter.finish()

    def _count_all(self, segment: Segment) -> list[Any]:
        counter, size = self._counter, 0
        with device_errors():
            counter.begin()
        self._reader.buffer = counter.buffer
        for block in self._reader.blocks(segment, len(counter.buffer)):
            size += len(block)
            with device_errors():
                counter.submit(len(block))
            self._reader.buffer = counter.buffer
        with device_errors():
            rows = counter.finish()
        row = segment_row(rows, size, UNKNOWN if segment.start else OUTSIDE)
        self._check_utf8(row[4])
        return row


def segment_row(rows: np.ndarray, size: int, state: int) -> list[int]:
    """Return the row of a segment from those of a device; `state`: before it."""
    sums = join_words(np.zeros(len(rows), np.int64), rows).sum(axis=0)
    joins = 0
    if len(rows):
        sums[text.ROW_INVALID] += rows[-1, text.ROW_PENDING]
        decided = rows[rows[:, text.ROW_STATE] != UNKNOWN]
        if len(decided):
            joins = decided[0, text.ROW_JOINS] if state == UNKNOWN else 0
            state = decided[-1, text.ROW_STATE]
    sums[text.ROW_PENDING] = size  # the column of bytes
    return [*sums.tolist(), int(joins), int(state)]
