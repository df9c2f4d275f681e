"""The bytes of a segment, block by block, and the records that begin in it.

A record belongs to the segment that contains its first byte, and only that segment
reads on to its end. So each byte is read at most twice, however long the records are.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from mpiapps.fileops.decompression import compression_suffix, decompressed
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.windows import SeparatorEnds, own_records
from mpiapps.kernels.utf8 import next_character

BLOCK_BYTES = 2**18  # of one read; a block stays in the cache while it is processed
SMALL_FILE_BYTES = 2**16  # of a file that is read together with others
MAX_CARRY_BYTES = 64  # carried over from one block to the next
FIRST_READ_BYTES = 2**12  # of the first read in the search for a separator
MAX_CHARACTER_BYTES = 6
MAX_RECORD_BYTES = 2**28
NEWLINE = b"\n"
BLANK = re.compile(rb"[\t\n\v\f\r ]")


# Given an open file and an offset, returns the offset at which the file is split.
Boundary = Callable[[int, int], int]


def byte_boundary(_file: int, offset: int) -> int:
    """Return the offset itself."""
    return offset


def character_boundary(file: int, offset: int) -> int:
    """Return the start of the first UTF-8 character at `offset` or after it."""
    first = max(0, offset - MAX_CHARACTER_BYTES)
    count = offset - first + MAX_CHARACTER_BYTES
    # Not read-only: numba would compile the kernels a second time for that.
    data = bytearray(os.pread(file, count, first) if offset else b"")
    return first + next_character(np.frombuffer(data, np.uint8), offset - first)


# Given bytes, returns the index after the first separator in them, or -1.
FindSeparator = Callable[[bytes], int]


def after_blank(data: bytes) -> int:
    """Return the index after the first blank, or -1."""
    match = BLANK.search(data)
    return match.end() if match else -1


def after_newline(data: bytes) -> int:
    """Return the index after the first newline, or -1."""
    return data.find(NEWLINE) + 1 or -1


class SegmentReader:
    """Reader of segments into one reused buffer.

    Parameters
    ----------
    boundary : callable, optional
        Given an open file and an offset, returns an offset a few bytes later at which
        `blocks` splits instead. By default it splits at the offset itself.
    decompress : bool
        Whether to decompress compressed files.

    Attributes
    ----------
    buffer : ndarray of uint8
        Where `blocks` puts the next block. May be replaced between blocks.
    """

    def __init__(
        self, boundary: Boundary = byte_boundary, *, decompress: bool = True
    ) -> None:
        self._boundary, self._decompress = boundary, decompress
        self._memory = np.empty(MAX_CARRY_BYTES + BLOCK_BYTES, np.uint8)
        self._buffer = self.buffer = self._memory[MAX_CARRY_BYTES:]

    def prepend(self, carry: np.ndarray, block: np.ndarray) -> np.ndarray:
        """Return the current block, or a part of it, with bytes before it.

        `carry`: up to `MAX_CARRY_BYTES`, the last ones before the block.
        """
        first = block.ctypes.data - self._memory.ctypes.data
        start = first - len(carry)
        self._memory[start:first] = carry
        return self._memory[start : first + len(block)]

    def is_splittable(self, name: str) -> bool:
        """Return whether a file may be split at any byte: it is not decompressed."""
        return not (self._decompress and compression_suffix(name))

    def blocks(
        self, segment: Segment, first_read: int = BLOCK_BYTES
    ) -> Iterator[np.ndarray]:
        """Yield the bytes of a segment, decompressed if the file is compressed.

        Of a part of a compressed file: the words that begin in its windows.

        `first_read`: bytes of the first read.

        Yields
        ------
        ndarray of uint8
            Valid until the next block is read.

        Raises
        ------
        OSError, EOFError
            If the file cannot be read, or has been truncated.
        """
        if not self.is_splittable(segment.name):
            yield from self._decompressed(segment, after_blank)
            return
        with open_segment(segment) as file:
            start, stop = segment.start, segment_stop(file, segment)
            if not segment.whole:
                start, stop = self._boundary(file, start), self._boundary(file, stop)
            yield from self._read(file, start, stop, segment.size, first_read)

    def records(
        self, segment: Segment, find_separator: FindSeparator
    ) -> Iterator[np.ndarray]:
        """Yield the bytes of the records that begin in a segment; see `blocks`.

        `find_separator` finds the separator that ends a record, a single byte.
        """
        if not self.is_splittable(segment.name):
            yield from self._decompressed(segment, find_separator)
            return
        skipping, more = segment.start > 0, segment.stop < segment.size
        with open_segment(segment) as file:
            # A separator as the last byte ends the segment's last record.
            stop = segment_stop(file, segment) - more
            start = segment.start - skipping
            for block in self._read(file, start, stop, segment.size):
                begin = find_separator(block.tobytes()) if skipping else 0
                if begin >= 0:
                    skipping = False
                    yield block[begin:]
            if skipping or not more:
                return
            size = segment.size
            for block in self._read(file, stop, size, size, FIRST_READ_BYTES):
                end = find_separator(block.tobytes())
                yield block if end < 0 else block[:end]
                if end >= 0:
                    return

    def _read(
        self, file: int, start: int, stop: int, size: int, length: int = BLOCK_BYTES
    ) -> Iterator[np.ndarray]:
        """Yield bytes of a file of the listed `size`; `length`: of the first read."""
        while start < stop:
            n = os.preadv(file, [self.buffer[: min(length, stop - start)].data], start)
            if n == 0:
                check_not_truncated(file, start, size)
                return
            yield self.buffer[:n]
            start += n
            length = min(2 * length, len(self.buffer))

    def read_small(
        self, segments: Sequence[Segment]
    ) -> Iterator[tuple[list[Exception | None], np.ndarray, list[int]]]:
        """Yield the concatenated bytes of small whole files, as many as fit.

        Yields
        ------
        errors : list of Exception or None
            One for each file; a file with an error has no bytes.
        buffer : ndarray of uint8
            Valid until the next files are read.
        ends : list of int
            End of each file without an error.
        """
        errors: list[Exception | None] = []
        ends: list[int] = []
        held, view = 0, self._buffer.data
        for segment in segments:
            if held + (segment.size or 1) > BLOCK_BYTES:
                yield errors, self._buffer[:held], ends
                errors, ends, held = [], [], 0
            try:
                file = os.open(segment.name, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    # One byte shows whether a file of size 0 has content.
                    n = os.preadv(file, [view[held : held + (segment.size or 1)]], 0)
                    if n < segment.size:
                        check_not_truncated(file, n, segment.size)
                    if n > segment.size and os.fstat(file).st_size == 0:
                        raise UnknownLength
                finally:
                    os.close(file)
            except (OSError, EOFError, UnknownLength) as error:
                errors.append(error)
                continue
            held += min(n, segment.size)
            errors.append(None)
            ends.append(held)
        if errors:
            yield errors, self._buffer[:held], ends

    def content(self, name: str) -> Iterator[np.ndarray]:
        """Yield the content of a compressed file; see `blocks`."""
        return decompressed(name, self.buffer)

    def _decompressed(
        self, segment: Segment, find_separator: FindSeparator
    ) -> Iterator[np.ndarray]:
        content, ends = self.content(segment.name), SeparatorEnds(find_separator)
        return (block for _, block in own_records(content, segment, ends))


class UnknownLength(Exception):
    """A file of size 0 has content, as in /proc; it must be read by itself."""


def has_known_length(segment: Segment) -> bool:
    """Return whether the size of a file is its length.

    Only sizes of 0 and of whole pages are checked, as in GNU wc.
    """
    if segment.stop < segment.size or segment.size % 4096:
        return True
    with open_segment(segment) as file:
        return segment.size > 0 and bool(os.pread(file, 1, segment.size - 1))


def segment_stop(file: int, segment: Segment) -> int:
    """Return the end of a segment of an open file; unlimited for a file of size 0."""
    if segment.size == 0 and os.fstat(file).st_size == 0:
        return sys.maxsize
    return segment.stop


def check_not_truncated(file: int, n: int, size: int) -> None:
    """Raise `EOFError` if a file that ends after `n` bytes has been truncated.

    If its size is unchanged, the size is not a length: that of files in /sys is a page.
    """
    if n < size and os.fstat(file).st_size < size:
        raise EOFError(f"truncated to {n} bytes; it had {size} bytes")


@contextmanager
def open_segment(segment: Segment) -> Iterator[int]:
    """Open the file of a segment for reading; yield its file descriptor."""
    file = os.open(segment.name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield file
    finally:
        os.close(file)


def iter_lines(segment: Segment, reader: SegmentReader) -> Generator[bytes, None, None]:
    """Yield the lines that begin in a segment, without their ends.

    Raises
    ------
    OSError, EOFError, ValueError
        If it cannot be read, or a line is longer than `MAX_RECORD_BYTES`.
    """
    parts: list[bytes] = []  # of a line whose end has not been read
    held = 0
    for block in reader.records(segment, after_newline):
        first, *more = block.tobytes().split(NEWLINE)
        parts.append(first)
        held += len(first)
        if held > MAX_RECORD_BYTES:
            raise ValueError(f"a line is longer than {MAX_RECORD_BYTES} bytes")
        if more:
            yield b"".join(parts)
            yield from more[:-1]
            parts, held = [more[-1]], len(more[-1])
    if last := b"".join(parts):
        yield last
