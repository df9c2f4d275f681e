"""The bytes of a segment, block by block: cut at separators, so that none is torn.

A line belongs to the segment that its first byte lies in. Each rank reads its own
bytes; nothing is sent.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from mpiapps.filework.segments import Segment

BLOCK = 2**18  # bytes read at once: they stay in the cache while they are looked at
SMALL = 2**16  # bytes of a file that is read with others
REST = 64  # bytes that can be kept from one block to the next
SOME = 2**12  # bytes read to find a separator, at first
LONGEST = 2**28  # bytes of a line
NEWLINE = b"\n"
BLANK = re.compile(rb"[\t\n\v\f\r ]")


# How a compressed file is opened, by the end of its name: module and function.
OPENERS = {
    ".gz": ("gzip", "open"),
    ".xz": ("lzma", "open"),
    ".bz2": ("bz2", "open"),
    ".zst": ("mpiapps.filework.zstd", "ZstdFile"),
}

ENDS = tuple(case(end) for end in OPENERS for case in (str.lower, str.upper))


def compressed(name: str) -> str:
    """Return the end of a name by which its content is compressed, or "". Local."""
    if not name.endswith(ENDS):  # a million times
        return ""
    return name[name.rindex(".") :].lower()


# Where the first record at or behind a place begins, in an open file.
Edge = Callable[[int, int], int]


Behind = Callable[[bytes], int]


def at_blank(file: int, place: int) -> int:
    """Return where a file may be cut between words. Local."""
    return after(file, place - 1, lambda data: _end(BLANK.search(data)), sys.maxsize)


def at_line(file: int, place: int) -> int:
    """Return where the first line from a place on begins. Local."""
    return after(file, place - 1, lambda data: data.find(NEWLINE) + 1 or -1, LONGEST)


def _end(found: re.Match[bytes] | None) -> int:
    return found.end() if found else -1


class Reader:
    """Reads segments into one buffer. Local.

    Parameters
    ----------
    edge : callable
        Where a file may be cut.
    plain : bool
        Take compressed files as they are.
    """

    def __init__(self, edge: Edge = at_blank, *, plain: bool = False) -> None:
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

    def blocks(self, segment: Segment) -> Iterator[np.ndarray]:
        """Yield the records that begin in a segment. Local.

        Yields
        ------
        ndarray of uint8
            Good until the next one.

        Raises
        ------
        OSError, EOFError
            If the file cannot be read, or has become shorter.
        ValueError
            If a record is too long.
        """
        if not self.cuts(segment.name):
            yield from self._unpacked(segment)
            return
        with opened(segment) as file:
            start, stop = segment.start, segment.stop
            if start:
                start = self._edge(file, start)
            if stop < segment.size:
                stop = min(segment.size, self._edge(file, stop))
            while start < stop:
                here = self._buffer[: min(BLOCK, stop - start)]
                n = os.preadv(file, [here.data], start)
                if n == 0:
                    raise short(start, segment.size)
                yield here[:n]
                start += n

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
            if held + segment.size > BLOCK:
                yield errors, self._buffer[:held], ends
                errors, ends, held = [], [], 0
            try:
                file = os.open(segment.name, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    n = os.preadv(file, [view[held : held + segment.size]], 0)
                finally:
                    os.close(file)
                if n < segment.size:
                    raise short(n, segment.size)
            except (OSError, EOFError) as error:
                errors.append(error)
                continue
            held += n
            errors.append(None)
            ends.append(held)
        if errors:
            yield errors, self._buffer[:held], ends

    def _unpacked(self, segment: Segment) -> Iterator[np.ndarray]:
        module, name = OPENERS[compressed(segment.name)]
        with getattr(importlib.import_module(module), name)(segment.name) as stream:
            while n := stream.readinto(self._buffer):
                yield self._buffer[:n]


def short(n: int, size: int) -> EOFError:
    """Return the error of a file that has become shorter. Local."""
    return EOFError(f"ends after {n} bytes, and had {size} before")


@contextmanager
def opened(segment: Segment) -> Iterator[int]:
    """Give the number of the file of a segment, open for reading. Local."""
    file = os.open(segment.name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def after(file: int, start: int, behind: Behind, limit: int = LONGEST) -> int:
    """Return where the byte after the first separator from `start` on is. Local.

    The end of the file if there is none.

    Parameters
    ----------
    file, start : int
    behind : callable
        Is given one part of the file after the other; returns the place behind the
        first separator in it, or -1.
    limit : int
        Bytes that are looked through.

    Raises
    ------
    ValueError
        If there is none in these.
    """
    some, here = SOME, start
    while data := os.pread(file, some, here):
        if (found := behind(data)) >= 0:
            return here + found
        here += len(data)
        some = min(2 * some, BLOCK)
        if here - start > limit:
            raise ValueError(f"a record is longer than {limit} bytes")
    return here


def lines(segment: Segment, reader: Reader) -> Iterator[bytes]:
    """Yield the lines that begin in a segment, without their ends. Local.

    `reader` cuts `at_line`.

    Raises
    ------
    OSError, EOFError, ValueError
        If it cannot be read, or a line is longer than `LONGEST`.
    """
    rest: list[bytes] = []
    held = 0
    for block in reader.blocks(segment):
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
