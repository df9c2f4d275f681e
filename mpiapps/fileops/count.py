"""Lines, words, characters and bytes of files, and the most frequent words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.world import World
from mpiapps.fileops.operation import Operation, result_or_error
from mpiapps.fileops.reading import (
    MAX_RECORD_BYTES,
    SMALL_FILE_BYTES,
    SegmentReader,
    UnknownLength,
    after_blank,
    byte_boundary,
    character_boundary,
    has_known_length,
)
from mpiapps.fileops.segments import OPEN_COST, Segment
from mpiapps.kernels.text import KERNELS as TEXT_KERNELS
from mpiapps.kernels.text import count_files, count_newlines, count_text
from mpiapps.kernels.utf8 import INSIDE, OUTSIDE, UNKNOWN, next_character
from mpiapps.kernels.words import INITIAL_SLOTS, WordCounts, most_frequent
from mpiapps.kernels.words import KERNELS as WORD_KERNELS

WHOLE_FILES = -1  # key of the words of all files that are not split
# A row of counts: lines, words, characters, bytes, bytes that are not UTF-8; then
# `joins` and `state` of `kernels.text.TextCounts` for the segment.
SUMS, ROW = 5, 7


@dataclass
class TextCount(Operation):
    """Count lines, words, characters and bytes. `most_frequent` is collective.

    Parameters
    ----------
    encoding : {"utf-8", "bytes"}
    only : sequence of str
        The `choices.COUNTS` to count; empty: all. Lines and bytes alone take less
        time.
    decompress : bool
        Whether to decompress compressed files.
    top : bool
        Whether to count each word, too.
    strict_utf8 : bool
        Whether a file that is not UTF-8 fails.
    recorded : bool
        Whether results must contain the words, since they are recorded.
    """

    open_cost = OPEN_COST
    splits_compressed = True
    _line_counts = frozenset({"lines", "bytes"})  # counted by a faster kernel

    encoding: str = "utf-8"
    only: Collection[str] = ()
    decompress: bool = True
    top: bool = False
    strict_utf8: bool = False
    recorded: bool = False

    def __post_init__(self) -> None:
        """Create the reader and the word tables."""
        utf8 = self.encoding == "utf-8"
        boundary = character_boundary if utf8 else byte_boundary
        self._reader = SegmentReader(boundary, decompress=self.decompress)
        fast = bool(self.only) and not (self.top or self.strict_utf8)
        self._lines = fast and set(self.only) <= self._line_counts
        # An error has the number of all bytes that are not UTF-8.
        self.splits_compressed &= not self.strict_utf8
        self._sizes = fast and set(self.only) == {"bytes"}
        self._words: defaultdict[int, WordCounts] = defaultdict(WordCounts)
        self.kernels: Sequence[Callable[..., Any]] = [
            count_newlines,
            *([] if self._lines else TEXT_KERNELS),
            *(WORD_KERNELS if self.top else []),
        ]

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, with arrays as when they run."""
        count_newlines(SAMPLE)
        next_character(SAMPLE, 0)
        if not self._lines:
            count_text(SAMPLE, self.encoding)
            count_files(SAMPLE, [1], self.encoding)
        if self.top:
            words = WordCounts()
            numbers = bytearray(b" ").join(b"%d" % n for n in range(INITIAL_SLOTS))
            words.add(np.frombuffer(numbers, np.uint8))  # the table grows, too
            words.merge(words.arrays)
            words.update({})
            words.split(1, 0)
            words.most_frequent(1)

    def is_splittable(self, name: str) -> bool:
        """Return whether a file may be split."""
        return self._reader.is_splittable(name)

    def execute_all(self, segments: Sequence[Segment]) -> Iterator[Any]:
        """Yield the result of each segment, or its exception; batch small files."""
        batch = not (self.top or self._lines or self._sizes or self.strict_utf8)
        small: list[Segment] = []
        for segment in segments:
            is_small = segment.whole and segment.size <= SMALL_FILE_BYTES
            if batch and is_small and self.is_splittable(segment.name):
                small.append(segment)
                continue
            yield from self._count_small(small)
            small = []
            yield result_or_error(self.execute, segment)
        yield from self._count_small(small)

    def _count_small(self, small: list[Segment]) -> Iterator[Any]:
        """Count small whole files, as many at once as fit into the buffer."""
        segments = iter(small)
        for errors, buffer, ends in self._reader.read_small(small):
            rows = iter(count_files(buffer, ends, self.encoding).tolist())
            for error, segment in zip(errors, segments, strict=False):
                if isinstance(error, UnknownLength):
                    yield result_or_error(self.execute, segment)
                else:
                    yield error or next(rows)

    def execute(self, segment: Segment) -> list[Any]:
        """Return a row of counts; with `top` and `recorded` followed by the words."""
        splittable = self.is_splittable(segment.name)
        if self._sizes and splittable and has_known_length(segment):
            return _row(0, segment.stop - segment.start)
        if self._lines:
            lines = size = 0
            for block in self._reader.blocks(segment):
                lines += count_newlines(block)
                size += len(block)
            return _row(lines, size)
        return self._count_all(segment)

    def _count_all(self, segment: Segment) -> list[Any]:
        sums = [0] * SUMS
        # Records of `top` and of compressed files begin after a blank.
        follows_blank = self.top or not self.is_splittable(segment.name)
        state = OUTSIDE if follows_blank or segment.start == 0 else UNKNOWN
        joins, carry = 0, EMPTY
        words = _WordCounter(self._word_counts(segment)) if self.top else None
        for block in self._blocks(segment):
            sums[3] += len(block)
            if words is not None:
                words.add(block)
            whole = self._reader.prepend(carry, block) if len(carry) else block
            counts = count_text(whole, self.encoding, state)
            for n, more in enumerate(counts[:3]):
                sums[n] += more
            sums[4] += counts.invalid
            joins += counts.joins
            state, carry = counts.state, whole[counts.used :].copy()
        sums[4] += len(carry)  # a character truncated by the end of the file
        self._check_utf8(sums[4])
        row: list[Any] = [*sums, joins, state]
        if words is None:
            return row
        word_counts = words.end()
        if self.recorded:
            pairs = word_counts.as_dict().items()
            return [*row, {word.decode("latin-1"): n for word, n in pairs}]
        if segment.whole:
            self._words[WHOLE_FILES].merge(word_counts.arrays)
        return row

    def _check_utf8(self, invalid: int) -> None:
        if self.strict_utf8 and invalid:
            raise ValueError(f"{invalid} bytes are not UTF-8")

    def _blocks(self, segment: Segment) -> Iterator[np.ndarray]:
        if self.top:
            return self._reader.records(segment, after_blank)
        return self._reader.blocks(segment)

    def _word_counts(self, segment: Segment) -> WordCounts:
        """Return the table in which to count the words of a segment."""
        if segment.whole or self.recorded:
            return WordCounts()
        return self._words[segment.file]  # dropped if any segment of the file fails

    def for_root(self, segment: Segment, value: list[Any]) -> list[int]:
        """Return the counts; add the words to the tables of the root."""
        for words in value[ROW:]:
            file = WHOLE_FILES if segment.whole else segment.file
            pairs = ((word.encode("latin-1"), n) for word, n in words.items())
            self._words[file].update(dict(pairs))
        return value[:ROW]

    def pack(self, values: list[Any]) -> np.ndarray:
        """Return the counts as rows of an array."""
        return np.array(values, np.int64).reshape(-1, ROW)

    def most_frequent(
        self, world: World, n: int, failed: Collection[int]
    ) -> list[tuple[bytes, int]]:
        """Return the `n` most frequent words, on the root. Collective.

        Words of equal counts are ordered by their bytes. Words of `failed` files are
        left out. Cost: an alltoall of the words, as arrays.
        """
        total = WordCounts()
        for file in list(self._words):
            words = self._words.pop(file)
            if file in failed:
                continue
            if len(total):
                total.merge(words.arrays)
            else:
                total = words
        if world.size > 1:
            shares = total.split(world.size, world.rank)
            for share in world.objects.alltoall(shares):
                total.merge(share)
        own = total.most_frequent(n, world.size, world.rank)
        parts = world.comm.gather(own, root=world.root)
        return most_frequent((pair for part in parts or () for pair in part), n)


class _WordCounter:
    """Count the words of consecutive blocks, including those that span blocks."""

    def __init__(self, counts: WordCounts) -> None:
        self._counts = counts
        self._open: list[bytes] = []  # parts of a word whose end has not been read
        self._held = 0

    def add(self, block: np.ndarray) -> None:
        """Count the words of a block.

        Raises
        ------
        ValueError
            If one is longer than `MAX_RECORD_BYTES`.
        """
        begin = 0
        if self._open:
            begin = after_blank(block.tobytes())
            self._hold(block[: begin if begin > 0 else len(block)])
            if begin < 0:
                return
            self.end()
        used = begin + self._counts.add(block[begin:], last=False)
        self._hold(block[used:])

    def end(self) -> WordCounts:
        """Count the word that is open; return the counts of all words."""
        if self._open:
            self._counts.add(np.frombuffer(bytearray().join(self._open), np.uint8))
            self._open, self._held = [], 0
        return self._counts

    def _hold(self, part: np.ndarray) -> None:
        if len(part):
            self._open.append(part.tobytes())
            self._held += len(part)
        if self._held > MAX_RECORD_BYTES:
            raise ValueError(f"a word is longer than {MAX_RECORD_BYTES} bytes")


EMPTY, SAMPLE = np.empty(0, np.uint8), np.full(1, 97, np.uint8)


def _row(lines: int, size: int) -> list[int]:
    return [lines, 0, 0, size, 0, 0, OUTSIDE]


def join_words(files: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the sums of segments, with a word that spans two of them counted once.

    Parameters
    ----------
    files : ndarray of int64, (segments,)
        File of each segment, ascending.
    rows : ndarray of int64, (segments, 7)
        Rows of a file in the order of its segments.

    Returns
    -------
    ndarray of int64, (segments, 5)
        The number of words is right only as a sum over whole files.
    """
    sums, joins, state = rows[:, :SUMS].copy(), rows[:, SUMS], rows[:, SUMS + 1]
    # The state after a segment of unknown state is that of the last known one before
    # it; the state of a file's first segment is always known.
    numbers = np.where(state == UNKNOWN, 0, np.arange(len(rows)))
    last = np.maximum.accumulate(numbers)[:-1]
    inside = (state[last] == INSIDE) & (files[last] == files[1:])
    sums[1:, 1] -= joins[1:] * inside
    return sums
