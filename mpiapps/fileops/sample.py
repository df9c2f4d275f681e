"""`files sample`: random lines, the same for a seed on any number of ranks."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np

from mpiapps.fileops.file_run import FileRun, ValuesAndLines
from mpiapps.fileops.operation import Operation
from mpiapps.fileops.reading import MAX_RECORD_BYTES, SegmentReader, after_newline
from mpiapps.fileops.segments import OPEN_COST, Segment
from mpiapps.fileops.windows import SeparatorEnds, own_records
from mpiapps.kernels.records import NEWLINE

# Of splitmix64: G. Steele, D. Lea and C. Flood, Fast splittable pseudorandom number
# generators, OOPSLA 2014.
GAMMA, MIX_1, MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
RANGE = 2**64
MIN_CANDIDATES = 2**10  # to sort at once

Line = tuple[int, int, bytes]  # random number, offset in the file, text


def random_numbers(key: int, offsets: np.ndarray) -> np.ndarray:
    """Return a uniform uint64 for each offset, a function of it and of the key."""
    x = offsets.astype(np.uint64) * np.uint64(GAMMA) + np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(MIX_1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(MIX_2)
    return np.asarray(x ^ (x >> np.uint64(31)))


class LineSample(Operation):
    """Take lines whose random numbers are small.

    The number of a line is a function of the seed, the name of the file and the offset
    of the line, so it depends neither on ranks nor on segments.

    Parameters
    ----------
    fraction : float
        Probability of each line; not used with `count`.
    count : int
        Number of lines to take from all files, those of the least numbers; 0: all.
    seed : int
    """

    open_cost = OPEN_COST
    splits_compressed = True

    def __init__(self, fraction: float, count: int, seed: int) -> None:
        self._limit = RANGE - 1 if count else max(0, int(fraction * RANGE) - 1)
        self._none = not count and fraction * RANGE < 1
        self._count, self._seed = count, seed
        self._reader = SegmentReader()

    def is_splittable(self, name: str) -> bool:
        """Return whether a file may be split."""
        return self._reader.is_splittable(name)

    def execute(self, segment: Segment) -> list[list[Any]]:
        """Return number, offset and text of the lines that begin in a segment.

        Raises
        ------
        OSError, EOFError, ValueError
            If it cannot be read, or a line is longer than `MAX_RECORD_BYTES`.
        """
        taken: list[Line] = []
        self._bound = -1 if self._none else self._limit
        for line in self._lines(segment):
            taken.append(line)
            if self._count and len(taken) >= 2 * max(self._count, MIN_CANDIDATES):
                taken = heapq.nsmallest(self._count, taken)
                self._bound = taken[-1][0]
        if self._count:
            taken = heapq.nsmallest(self._count, taken)
        return [[n, offset, text.decode("latin-1")] for n, offset, text in taken]

    def _lines(self, segment: Segment) -> Iterator[Line]:
        """Yield the lines of a segment whose numbers are at most the bound."""
        name = segment.name.encode(errors="surrogateescape")
        digest = hashlib.blake2b(name, digest_size=8, key=b"%d" % self._seed)
        key = int.from_bytes(digest.digest(), "little")
        splittable = self.is_splittable(segment.name)
        position = max(0, segment.start - 1) if splittable else 0
        first = np.zeros(1, np.int64) if segment.start == 0 else np.empty(0, np.int64)
        number, offset, parts, held = -1, 0, list[bytes](), 0
        for gap, block, own in self._blocks(segment):
            if gap is not None:  # the last line has ended, and one begins here
                position, number, first = position + gap, -1, np.zeros(1, np.int64)
            ends = np.flatnonzero(block == NEWLINE)
            if number >= 0:  # a line that began in an earlier block
                end = int(ends[0]) if len(ends) else len(block)
                parts.append(block[:end].tobytes())
                held += end
                if held > MAX_RECORD_BYTES:
                    raise ValueError(f"a line is longer than {MAX_RECORD_BYTES} bytes")
                if len(ends):
                    yield number, offset, b"".join(parts)
                    number, parts, held = -1, [], 0
            if not own:
                if number < 0:
                    return
                continue
            starts = np.concatenate([first, ends + 1])
            first = first[:0]
            numbers = random_numbers(key, starts + position)
            chosen = np.flatnonzero(numbers <= np.uint64(max(0, self._bound)))
            for n in chosen.tolist() if self._bound >= 0 else ():
                start, value = int(starts[n]), int(numbers[n])
                if value > self._bound:
                    continue
                if n + 1 < len(starts):
                    text = block[start : starts[n + 1] - 1].tobytes()
                    yield value, position + start, text
                else:  # the last line goes on in the next block
                    number, offset = value, position + start
                    parts = [block[start:].tobytes()]
                    held = len(parts[0])
            position += len(block)
        if number >= 0 and held:
            yield number, offset, b"".join(parts)

    def _blocks(
        self, segment: Segment
    ) -> Iterator[tuple[int | None, np.ndarray, bool]]:
        """Yield the gap before a block as `own_records`, the block, and a flag.

        The flag is whether lines after its newlines are the segment's.
        """
        if segment.whole or not self.is_splittable(segment.name):
            whole = segment._replace(start=0, stop=segment.size)
            blocks, ends = self._reader.blocks(whole), SeparatorEnds(after_newline)
            for gap, block in own_records(blocks, segment, ends):
                yield gap, block, True
            return
        start = max(0, segment.start - 1)
        stop = segment.stop - (segment.stop < segment.size)
        for block in self._reader.blocks(segment._replace(start=start, stop=stop)):
            yield None, block, True
        rest = segment._replace(start=stop, stop=segment.size)
        for block in self._reader.blocks(rest):
            yield None, block, False


def sample(run: FileRun) -> ValuesAndLines:
    """Take random lines of all files. Collective."""
    options = run.options
    operation = LineSample(options.fraction or 0.0, options.lines, options.seed)
    results = run.execute(operation)
    lines = [
        (number, file, offset, text)
        for file, parts in results.by_file().items()
        for part in parts
        for number, offset, text in part
    ]
    if options.lines:
        lines = heapq.nsmallest(options.lines, lines)
    lines.sort(key=lambda line: line[1:3])
    texts = [line[3].encode("latin-1") + b"\n" for line in lines]
    output = [text.decode(errors="surrogateescape") for text in texts]
    return {"lines": len(lines)}, output
