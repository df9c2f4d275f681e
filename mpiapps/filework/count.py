"""Lines, words, characters and bytes of files, and the words that stand most often."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.comm.world import World
from mpiapps.filework.operation import Operation, attempt
from mpiapps.filework.reading import SMALL, NotALength, Reader, is_length
from mpiapps.filework.segments import OPENING, Segment
from mpiapps.kernels.text import KERNELS as TEXT
from mpiapps.kernels.text import count, count_each, count_newlines
from mpiapps.kernels.words import KERNELS as TABLE
from mpiapps.kernels.words import Vocabulary

WHOLE = -1  # in place of a file: words of files that one segment holds


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
        self._reader = Reader(plain=self.plain)
        fast = bool(self.only) and not (self.top or self.valid)
        self._lines = fast and set(self.only) <= {"lines", "bytes"}
        self._sizes = fast and set(self.only) == {"bytes"}
        self._words: defaultdict[int, Vocabulary] = defaultdict(Vocabulary)
        self._again: defaultdict[int, Counter[str]] = defaultdict(Counter)
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
            some.add(ONE)
            some.merge(some)

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
        """Return the four counts, invalid bytes, and words with `top`."""
        if self._sizes and self.cuts(segment.name) and is_length(segment):
            return [0, 0, 0, segment.stop - segment.start, 0]
        if self._lines:
            lines = size = 0
            for block in self._reader.blocks(segment):
                lines += count_newlines(block)
                size += len(block)
            return [lines, 0, 0, size, 0]
        return self._all(segment)

    def _all(self, segment: Segment) -> list[Any]:
        sums = [0] * 5
        within, rest, cut_off = False, EMPTY, EMPTY
        vocabulary = Vocabulary() if self.top else None
        if self.top and not (segment.whole or self.recorded):
            vocabulary = self._words[segment.file]  # if one fails, the file does
        for block in self._reader.blocks(segment):
            sums[3] += len(block)
            if vocabulary is not None:
                cut_off = _add(vocabulary, cut_off, block)
            whole = self._reader.joined(rest, block) if len(rest) else block
            found = count(whole, self.encoding, within)
            for n, more in enumerate(found[:3]):
                sums[n] += more
            sums[4] += found.invalid
            within, rest = found.within, whole[found.used :].copy()
        sums[4] += len(rest)  # a character that the end of the file cuts off
        if self.valid and sums[4]:
            raise ValueError(f"{sums[4]} bytes are not UTF-8")
        if vocabulary is None:
            return sums
        vocabulary.add(cut_off)
        if self.recorded:
            words = vocabulary.words().items()
            return [*sums, {word.decode("latin-1"): n for word, n in words}]
        if segment.whole:
            self._words[WHOLE].merge(vocabulary)
        return sums

    def kept(self, segment: Segment, value: list[Any]) -> list[int]:
        """Return the counts; keep the words."""
        for word, n in value[5].items() if len(value) > 5 else ():
            self._again[WHOLE if segment.whole else segment.file][word] += n
        return value[:5]

    def pack(self, values: list[Any]) -> np.ndarray:
        """Return the counts as rows of an array."""
        return np.array(values, np.int64).reshape(-1, 5)

    def most(
        self, world: World, n: int, bad: Collection[int]
    ) -> list[tuple[bytes, int]]:
        """Return the `n` words that stand most often, on the root. Collective.

        Of equal ones the first in the order of bytes. Words of `bad` files are left
        out. Cost: each rank sends each other one its share of the words.
        """
        mine: Counter[bytes] = Counter()
        for file, words in self._words.items():
            if file not in bad:
                mine.update(words.words())
        for file, again in self._again.items():
            if file not in bad:
                mine.update({word.encode("latin-1"): n for word, n in again.items()})
        shares: list[dict[bytes, int]] = [{} for _ in range(world.size)]
        for word, times in mine.items():
            shares[zlib.crc32(word) % world.size][word] = times
        total: Counter[bytes] = Counter()
        for part in world.objects.alltoall(shares):
            total.update(part)
        parts = world.comm.gather(_first(total.items(), n), root=world.root)
        return _first((pair for part in parts or () for pair in part), n)


EMPTY, ONE = np.empty(0, np.uint8), np.full(1, 97, np.uint8)


def _add(vocabulary: Vocabulary, rest: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Count the words of a block behind a rest; return the new rest."""
    if len(rest):
        block = np.concatenate((rest, block))
    return block[vocabulary.add(block, last=False) :].copy()


def _first(words: Iterable[tuple[bytes, int]], n: int) -> list[tuple[bytes, int]]:
    """Return the `n` words with the largest counts, in order. Local."""
    return sorted(words, key=lambda pair: (-pair[1], pair[0]))[:n]
