"""Lines, words, characters and bytes of files, and the words that stand most often."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.world import World
from mpiapps.filework.operation import Operation, attempt
from mpiapps.filework.reading import (
    LONGEST,
    SMALL,
    NotALength,
    Reader,
    at_byte,
    at_character,
    behind_blank,
    is_length,
)
from mpiapps.filework.segments import OPENING, Segment
from mpiapps.kernels.text import (
    INSIDE,
    OUTSIDE,
    UNKNOWN,
    count,
    count_each,
    count_newlines,
)
from mpiapps.kernels.text import KERNELS as TEXT
from mpiapps.kernels.words import KERNELS as TABLE
from mpiapps.kernels.words import Vocabulary, first

WHOLE = -1  # in place of a file: words of files that one segment holds
# A row of counts: lines, words, characters, bytes, bytes that are not UTF-8; then
# `joins` and `state` of `kernels.text.Counted` for the segment.
SUMS, ROW = 5, 7


@dataclass
class Count(Operation):
    """Counts what is in files. Local, but for `most`.

    Parameters
    ----------
    encoding : {"utf-8", "bytes"}
    only : sequence of str
        Those of `choices.COUNTS` that are wanted; empty for all. Lines alone, or bytes
        alone, take less time.
    plain : bool
        Count compressed files as they are.
    top : bool
        Count each word by itself, too.
    valid : bool
        Whether a file that is not UTF-8 is a bad one.
    recorded : bool
        Whether results must hold the words: more than the sums over all segments.
    """

    opening = OPENING

    encoding: str = "utf-8"
    only: Collection[str] = ()
    plain: bool = False
    top: bool = False
    valid: bool = False
    recorded: bool = False

    def __post_init__(self) -> None:
        """Make what it counts into."""
        edge = at_character if self.encoding == "utf-8" else at_byte
        self._reader = Reader(edge, plain=self.plain)
        fast = bool(self.only) and not (self.top or self.valid)
        self._lines = fast and set(self.only) <= {"lines", "bytes"}
        self._sizes = fast and set(self.only) == {"bytes"}
        self._words: defaultdict[int, Vocabulary] = defaultdict(Vocabulary)
        self.kernels: Sequence[Callable[..., Any]] = [
            count_newlines,
            *([] if self._lines else TEXT),
            *(TABLE if self.top else []),
        ]

    def warm(self) -> None:
        """Call the kernels once."""
        count_newlines(ONE)
        if not self._lines:
            count(ONE, self.encoding)
            count_each(ONE, [1], self.encoding)
        if self.top:
            some = Vocabulary()
            some.add(np.frombuffer(b"a b", np.uint8))
            some.merge(some.rows)
            some.update({})
            some.split(1)
            some.most(1)

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return self._reader.cuts(name)

    def do_all(self, segments: Sequence[Segment]) -> Iterator[Any]:
        """Yield for each segment its result, or the error; small files together."""
        plain = not (self.top or self._lines or self._sizes or self.valid)
        small: list[Segment] = []
        for segment in segments:
            whole = segment.whole and segment.size <= SMALL
            if plain and whole and self.cuts(segment.name):
                small.append(segment)
                continue
            yield from self._together(small)
            small = []
            yield attempt(self.do, segment)
        yield from self._together(small)

    def _together(self, small: list[Segment]) -> Iterator[Any]:
        """Count small whole files, as many at once as fit into the buffer."""
        left = iter(small)
        for some, buffer, ends in self._reader.several(small):
            rows = iter(count_each(buffer, ends, self.encoding).tolist())
            for error, segment in zip(some, left, strict=False):
                if isinstance(error, NotALength):
                    yield attempt(self.do, segment)
                else:
                    yield error or next(rows)

    def do(self, segment: Segment) -> list[Any]:
        """Return a row of counts, and words with `top`."""
        if self._sizes and self.cuts(segment.name) and is_length(segment):
            return _row(0, segment.stop - segment.start)
        if self._lines:
            lines = size = 0
            for block in self._reader.blocks(segment):
                lines += count_newlines(block)
                size += len(block)
            return _row(lines, size)
        return self._all(segment)

    def _all(self, segment: Segment) -> list[Any]:
        sums = [0] * SUMS
        starts = self.top or segment.start == 0  # records of `top` begin behind a blank
        state, joins, rest = OUTSIDE if starts else UNKNOWN, 0, EMPTY
        words = _Words(self._vocabulary(segment)) if self.top else None
        for block in self._blocks(segment):
            sums[3] += len(block)
            if words is not None:
                words.add(block)
            whole = self._reader.joined(rest, block) if len(rest) else block
            found = count(whole, self.encoding, state)
            for n, more in enumerate(found[:3]):
                sums[n] += more
            sums[4] += found.invalid
            joins += found.joins
            state, rest = found.state, whole[found.used :].copy()
        sums[4] += len(rest)  # a character that the end of the file cuts off
        if self.valid and sums[4]:
            raise ValueError(f"{sums[4]} bytes are not UTF-8")
        row: list[Any] = [*sums, joins, state]
        if words is None:
            return row
        vocabulary = words.end()
        if self.recorded:
            counts = vocabulary.words().items()
            return [*row, {word.decode("latin-1"): n for word, n in counts}]
        if segment.whole:
            self._words[WHOLE].merge(vocabulary.rows)
        return row

    def _blocks(self, segment: Segment) -> Iterator[np.ndarray]:
        if self.top:
            return self._reader.records(segment, behind_blank)
        return self._reader.blocks(segment)

    def _vocabulary(self, segment: Segment) -> Vocabulary:
        """Return what the words of a segment are counted in."""
        if segment.whole or self.recorded:
            return Vocabulary()
        return self._words[segment.file]  # if one segment fails, the file does

    def kept(self, segment: Segment, value: list[Any]) -> list[int]:
        """Return the counts; keep the words."""
        for words in value[ROW:]:
            file = WHOLE if segment.whole else segment.file
            pairs = ((word.encode("latin-1"), n) for word, n in words.items())
            self._words[file].update(dict(pairs))
        return value[:ROW]

    def pack(self, values: list[Any]) -> np.ndarray:
        """Return the counts as rows of an array."""
        return np.array(values, np.int64).reshape(-1, ROW)

    def most(
        self, world: World, n: int, bad: Collection[int]
    ) -> list[tuple[bytes, int]]:
        """Return the `n` words that stand most often, on the root. Collective.

        Of equal ones the first in the order of bytes. Words of `bad` files are left
        out. Cost: each rank sends each other one its share of the words, as arrays.
        """
        total = Vocabulary()
        for file in list(self._words):
            words = self._words.pop(file)
            if file in bad:
                continue
            if len(total):
                total.merge(words.rows)
            else:
                total = words
        if world.size > 1:
            shares = total.split(world.size)
            total = Vocabulary()
            for share in world.objects.alltoall(shares):
                total.merge(share)
        parts = world.comm.gather(total.most(n), root=world.root)
        return first((pair for part in parts or () for pair in part), n)


class _Words:
    """Counts the words of blocks, also those that no block holds whole. Local."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._open: list[bytes] = []  # parts of a word without an end
        self._held = 0

    def add(self, block: np.ndarray) -> None:
        """Count the words of a block.

        Raises
        ------
        ValueError
            If one is longer than `LONGEST`.
        """
        begin = 0
        if self._open:
            begin = behind_blank(block.tobytes())
            self._hold(block[: begin if begin > 0 else len(block)])
            if begin < 0:
                return
            self.end()
        used = begin + self._vocabulary.add(block[begin:], last=False)
        self._hold(block[used:])

    def end(self) -> Vocabulary:
        """Count the word that is open; return all words."""
        if self._open:
            self._vocabulary.add(np.frombuffer(b"".join(self._open), np.uint8))
            self._open, self._held = [], 0
        return self._vocabulary

    def _hold(self, part: np.ndarray) -> None:
        if len(part):
            self._open.append(part.tobytes())
            self._held += len(part)
        if self._held > LONGEST:
            raise ValueError(f"a word is longer than {LONGEST} bytes")


EMPTY, ONE = np.empty(0, np.uint8), np.full(1, 97, np.uint8)


def _row(lines: int, size: int) -> list[int]:
    return [lines, 0, 0, size, 0, 0, OUTSIDE]


def sums_of(files: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the sums of rows of segments: a word that two share counts once. Local.

    Parameters
    ----------
    files : ndarray of int64, (segments,)
        Ascending.
    rows : ndarray of int64, (segments, 7)
        Those of a file in the order of its segments.

    Returns
    -------
    ndarray of int64, (segments, 5)
        Of these the number of words is right for a whole file, and for all.
    """
    sums, joins, state = rows[:, :SUMS].copy(), rows[:, SUMS], rows[:, SUMS + 1]
    # Where a segment decides nothing, the one before it does; a file's first decides.
    decided = np.where(state == UNKNOWN, 0, np.arange(len(rows)))
    before = np.maximum.accumulate(decided)[:-1]
    inside = (state[before] == INSIDE) & (files[before] == files[1:])
    sums[1:, 1] -= joins[1:] * inside
    return sums
