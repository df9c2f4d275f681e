"""The bytes of a segment, block by block; and the records that begin in it.

A line belongs to the segment that its first byte lies in. Each rank reads its own
bytes; nothing is sent. A record's end is looked for by the one segment that it begins
in, so that no byte is read more than twice, however long the records are.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from mpiapps.filework.segments import Segment
from mpiapps.kernels.text import next_character

BLOCK = 2**18  # bytes read at once: they stay in the cache while they are looked at
SMALL = 2**16  # bytes of a file that is read with others
REST = 64  # bytes that can be kept from one block to the next
SOME = 2**12  # bytes read to find a separator, at first
LONG = 6  # bytes of the longest character
LONGEST = 2**28  # bytes of a line
NEWLINE = b"\n"
BLANK = re.compile(rb"[\t\n\v\f\r ]")


# How a compressed file is opened, by the end of its name: module and function.
OPENERS = {
    ".gz": ("gzip", "open"),
    ".xz": ("lzma", "open"),
    ".lzma": ("lzma", "open"),
    ".bz2": ("bz2", "open"),
    ".zst": ("mpiapps.filework.zstd", "ZstdFile"),
}
# An archive is read as the archive that it holds, as that of .tar.gz is.
ARCHIVES = {".tgz": ".gz", ".txz": ".xz", ".tbz2": ".bz2", ".tzst": ".zst"}
OPENERS |= {end: OPENERS[same] for end, same in ARCHIVES.items()}
ENDS = tuple(OPENERS)
LONGEST_END = max(map(len, ENDS))


def compressed(name: str) -> str:
    """Return the end of a name by which its content is compressed, or "". Local."""
    end = name[-LONGEST_END:].lower()
    return end[end.rindex(".") :] if end.endswith(ENDS) else ""


# Where an open file is cut, given a place in it.
Edge = Callable[[int, int], int]


def at_byte(_file: int, place: int) -> int:
    """Return the place itself. Local."""
    return place


def at_character(file: int, place: int) -> int:
    """Return where the first character of UTF-8 from a place on begins. Local."""
    first = max(0, place - LONG)
    data = os.pread(file, place - first + LONG, first) if place else b""
    return first + next_character(np.frombuffer(data, np.uint8), place - first)


# Given bytes, returns the place behind the first separator in them, or -1.
Behind = Callable[[bytes], int]


def behind_blank(data: bytes) -> int:
    """Return the place behind the first blank, or -1. Local."""
    found = BLANK.search(data)
    return found.end() if found else -1


def behind_line(data: bytes) -> int:
    """Return the place behind the first line end, or -1. Local."""
    return data.find(NEWLINE) + 1 or -1


class Reader:
    """Reads segments into one buffer. Local.

    Parameters
    ----------
    edge : callable, optional
        Given an open file and a place, returns the place a few bytes behind it where
        `blocks` cuts instead; default: the place itself.
    plain : bool
        Take compressed files as they are.
    """

    def __init__(self, edge: Edge = at_byte, *, plain: bool = False) -> None:
        self._edge, self._plain = edge, plain
        self._all = np.empty(REST + BLOCK, np.uint8)
        self._buffer = self._all[REST:]

    def joined(self, rest: np.ndarray, block: np.ndarray) -> np.ndarray:
        """Return the last block with up to `REST` bytes before it. Local."""
        self._all[REST - len(rest) : REST] = rest
        return self._all[REST - len(rest) : REST + len(block)]

    def cuts(self, name: str) -> bool:
        """Return whether a file may be cut. Local."""
        return self._plain or not compressed(name)

    def blocks(self, segment: Segment, some: int = BLOCK) -> Iterator[np.ndarray]:
        """Yield the bytes of a segment; of a compressed file what it holds.

        `some` are read at first.

        Yields
        ------
        ndarray of uint8
            Good until the next one.

        Raises
        ------
        OSError, EOFError
            If the file cannot be read, or has become shorter.
        """
        if not self.cuts(segment.name):
            yield from self._unpacked(segment)
            return
        with opened(segment) as file:
            start, stop = segment.start, stop_in(file, segment)
            if not segment.whole:
                start, stop = self._edge(file, start), self._edge(file, stop)
            yield from self._read(file, start, stop, segment.size, some)

    def records(self, segment: Segment, behind: Behind) -> Iterator[np.ndarray]:
        """Yield the bytes of the records that begin in a segment, as `blocks`.

        Parameters
        ----------
        segment : Segment
        behind : callable
            Finds the separator that ends a record, a single byte.
        """
        if not self.cuts(segment.name):
            yield from self._unpacked(segment)
            return
        skips, more = segment.start > 0, segment.stop < segment.size
        with opened(segment) as file:
            # A separator that is the last byte ends the segment's last record.
            own = stop_in(file, segment) - more
            for block in self._read(file, segment.start - skips, own, segment.size):
                begin = behind(block.tobytes()) if skips else 0
                if begin >= 0:
                    skips = False
                    yield block[begin:]
            if skips or not more:
                return
            for block in self._read(file, own, segment.size, segment.size, SOME):
                end = behind(block.tobytes())
                yield block if end < 0 else block[:end]
                if end >= 0:
                    return

    def _read(
        self, file: int, start: int, stop: int, size: int, some: int = BLOCK
    ) -> Iterator[np.ndarray]:
        """Yield the bytes of an open file that had a `size`, `some` at first."""
        while start < stop:
            n = os.preadv(file, [self._buffer[: min(some, stop - start)].data], start)
            if n == 0:
                see_end(file, start, size)
                return
            yield self._buffer[:n]
            start += n
            some = min(2 * some, BLOCK)

    def several(
        self, segments: Sequence[Segment]
    ) -> Iterator[tuple[list[Exception | None], np.ndarray, list[int]]]:
        """Yield small whole files one behind the other, as many as fit. Local.

        Yields
        ------
        errors : list of Exception or None
            One for each file; an erroneous one has no bytes.
        buffer : ndarray of uint8
            Good until the next one.
        ends : list of int
            Where each good file ends.
        """
        errors: list[Exception | None] = []
        ends: list[int] = []
        held, view = 0, self._buffer.data
        for segment in segments:
            if held + (segment.size or 1) > BLOCK:
                yield errors, self._buffer[:held], ends
                errors, ends, held = [], [], 0
            try:
                file = os.open(segment.name, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    # A byte more tells of a file that says that it is empty.
                    n = os.preadv(file, [view[held : held + (segment.size or 1)]], 0)
                    if n < segment.size:
                        see_end(file, n, segment.size)
                    if n > segment.size and os.fstat(file).st_size == 0:
                        raise NotALength
                finally:
                    os.close(file)
            except (OSError, EOFError, NotALength) as error:
                errors.append(error)
                continue
            held += min(n, segment.size)
            errors.append(None)
            ends.append(held)
        if errors:
            yield errors, self._buffer[:held], ends

    def _unpacked(self, segment: Segment) -> Iterator[np.ndarray]:
        module, name = OPENERS[compressed(segment.name)]
        with getattr(importlib.import_module(module), name)(segment.name) as stream:
            while n := stream.readinto(self._buffer):
                yield self._buffer[:n]


class NotALength(Exception):
    """A file has content, and a size of 0: one of /proc, to be read by itself."""


def is_length(segment: Segment) -> bool:
    """Return whether the size of a file is its length. Local.

    Only sizes of 0 and of whole pages are looked at, as GNU wc does.
    """
    if segment.stop < segment.size or segment.size % 4096:
        return True
    with opened(segment) as file:
        return segment.size > 0 and bool(os.pread(file, 1, segment.size - 1))


def stop_in(file: int, segment: Segment) -> int:
    """Return where a segment of an open file ends; one of /proc has no size. Local."""
    if segment.size == 0 and os.fstat(file).st_size == 0:
        return sys.maxsize
    return segment.stop


def see_end(file: int, n: int, size: int) -> None:
    """Raise `EOFError` if a file that ends after `n` bytes has become shorter. Local.

    A size that stays what it was is not a length: files of /sys have that of a page.
    """
    if n < size and os.fstat(file).st_size < size:
        raise EOFError(f"ends after {n} bytes, and had {size} before")


@contextmanager
def opened(segment: Segment) -> Iterator[int]:
    """Give the number of the file of a segment, open for reading. Local."""
    file = os.open(segment.name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def lines(segment: Segment, reader: Reader) -> Generator[bytes, None, None]:
    """Yield the lines that begin in a segment, without their ends. Local.

    Raises
    ------
    OSError, EOFError, ValueError
        If it cannot be read, or a line is longer than `LONGEST`.
    """
    rest: list[bytes] = []
    held = 0
    for block in reader.records(segment, behind_line):
        first, *more = block.tobytes().split(NEWLINE)
        rest.append(first)
        held += len(first)
        if held > LONGEST:
            raise ValueError(f"a line is longer than {LONGEST} bytes")
        if more:
            yield b"".join(rest)
            yield from more[:-1]
            rest, held = [more[-1]], len(more[-1])
    if last := b"".join(rest):
        yield last
