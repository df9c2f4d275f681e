"""Counts of text on a CUDA device, from pinned chunks that are copied meanwhile.

Each thread follows the automaton of `mpiapps.kernels.utf8` over a part of a chunk, from
the node in which the bytes before it leave the automaton: it is reached from the last
byte that does not continue a character, at most 5 bytes before. Whether a part begins
inside a word is unknown, so a part has a state and `joins`, as
`mpiapps.kernels.text.TextCounts`, and parts are merged in order: an associative
operation, done as a tree in each block.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from mpiapps.device.cuda import THREADS, cuda, device_function, kernel
from mpiapps.kernels.utf8 import (
    COMPLETE,
    COUNT_BITS,
    INSIDE,
    INVALID,
    LAYERS,
    LINES,
    NEXT,
    STATE,
    UNKNOWN,
    WORDS,
    automaton,
)

# Bytes of a chunk: half of the least segment of a file, so that the first half is
# copied while the second is read, and large beside the start of a copy and a kernel.
CHUNK_BYTES = 2**21
# Bytes of a part. A warp then reads 2 KiB, which stay in the L1 cache until it is done;
# at most 340, for 11 bits of counts.
PART_BYTES = 64
HEAD_BYTES = 8  # room before a chunk for the end of the one before it
MAX_PENDING = 5  # bytes of an incomplete character
SLOTS = 2  # chunks in flight: one is copied and counted, one is filled

# Columns of a row of results, as those of `mpiapps files count`: the bytes of an
# incomplete character at the end are in the place of the number of bytes.
ROW = 7
ROW_LINES, ROW_WORDS, ROW_CHARACTERS, ROW_PENDING, ROW_INVALID = range(5)
ROW_JOINS, ROW_STATE = 5, 6

_SHARED = THREADS * ROW * 4  # bytes: the rows, of int32, of the threads of a block
_NEXT, _STATE, _LAYERS = np.uint64(NEXT), np.uint64(STATE), np.uint64(LAYERS)
_FIELD, _COUNTS = np.uint64(2**COUNT_BITS - 1), np.uint64(2**NEXT - 1)
_LINES, _WORDS = np.uint64(LINES), np.uint64(WORDS)
_COMPLETE, _INVALID = np.uint64(COMPLETE), np.uint64(INVALID)
_ZERO, _NODE_0 = (
    np.uint64(0),
    np.uint64(UNKNOWN) << np.uint64(STATE)
    | np.uint64(256 * UNKNOWN) << np.uint64(NEXT),
)
Array = Any  # of the device


@device_function
def _enter(data: Array, least: int, start: int, transitions: Array) -> Any:
    """Return the last transition before `start`, in the layer `UNKNOWN`.

    It is that of the node; `least` is the first byte that may be read.
    """
    begin, i = start, start - 1
    while i >= least and i >= start - MAX_PENDING:
        if data[i] & 0xC0 != 0x80:
            begin = i
            break
        i -= 1
    last = _NODE_0
    for i in range(begin, start):
        last = transitions[np.int64(last >> _NEXT) + data[i]]
    node = (last >> _STATE) // _LAYERS
    number = node * _LAYERS + np.uint64(UNKNOWN)
    return number << _STATE


@device_function
def _merge(rows: Array, left: int, right: int) -> None:
    """Add the row that begins at `right` to that of the part at its left, at `left`."""
    for column in range(ROW_PENDING):
        rows[left + column] += rows[right + column]
    rows[left + ROW_INVALID] += rows[right + ROW_INVALID]
    rows[left + ROW_PENDING] = rows[right + ROW_PENDING]
    if rows[right + ROW_STATE] != UNKNOWN:
        if rows[right + ROW_JOINS]:
            if rows[left + ROW_STATE] == INSIDE:
                rows[left + ROW_WORDS] -= 1
            elif rows[left + ROW_STATE] == UNKNOWN:
                rows[left + ROW_JOINS] = 1
        rows[left + ROW_STATE] = rows[right + ROW_STATE]


@kernel
def _count_parts(  # noqa: PLR0913, PLR0917 - kernels take numbers and arrays alone
    data: Array,
    history: int,
    size: int,
    part: int,
    transitions: Array,
    pending: Array,
    results: Array,
) -> None:
    """Fill a row for each block, of the `part` bytes of each of its threads.

    The chunk of `size` bytes begins at ``data[HEAD_BYTES]``; the `history` bytes before
    it are those before the chunk.
    """
    rows = cuda.shared.array(0, types.int32)  # see darts.py
    thread = cuda.threadIdx.x
    own = thread * ROW
    # Not min and max, which numba 0.68's own CUDA target does not compile.
    start, end = HEAD_BYTES + part * cuda.grid(1), HEAD_BYTES + size
    start = start if start < end else end
    stop = start + part if start + part < end else end
    last = _enter(data, HEAD_BYTES - history, start, transitions)
    packed, first = _ZERO, np.int64(UNKNOWN)
    for i in range(start, stop):
        last = transitions[np.int64(last >> _NEXT) + data[i]]
        packed += last & _COUNTS
        if first == UNKNOWN:
            first = np.int64((last >> _STATE) % _LAYERS)
    number = np.int64(last >> _STATE)
    rows[own + ROW_LINES] = np.int32((packed >> _LINES) & _FIELD)
    rows[own + ROW_WORDS] = np.int32((packed >> _WORDS) & _FIELD)
    rows[own + ROW_CHARACTERS] = np.int32((packed >> _COMPLETE) & _FIELD)
    rows[own + ROW_INVALID] = np.int32((packed >> _INVALID) & _FIELD)
    rows[own + ROW_PENDING] = pending[number // LAYERS]
    rows[own + ROW_JOINS] = np.int32(first == INSIDE)
    rows[own + ROW_STATE] = number % LAYERS
    cuda.syncthreads()
    step = 1
    while step < cuda.blockDim.x:
        if thread % (2 * step) == 0:
            _merge(rows, own, own + step * ROW)
        cuda.syncthreads()
        step *= 2
    if thread == 0:
        for column in range(ROW):
            results[cuda.blockIdx.x, column] = rows[column]


def device_tables(encoding: str) -> list[Array]:
    """Copy the automaton of an encoding to the current device: some 2 MiB."""
    return [cuda.to_device(table) for table in automaton(encoding)]


class Slot:
    """Memory and stream of a chunk in flight: sent, counted, and received in turn.

    Parameters
    ----------
    tables : list
        Those of `device_tables`; all slots use the same.
    chunk_bytes, part_bytes : int
        Bytes of a chunk, and of the part that a thread counts.

    Attributes
    ----------
    host : ndarray of uint8
        Pinned; `HEAD_BYTES`, then the chunk.
    stream
        In which the three methods start their work, without waiting for it.
    """

    def __init__(self, tables: list[Array], chunk_bytes: int, part_bytes: int) -> None:
        self.stream = cuda.stream()
        self.host: np.ndarray = cuda.pinned_array(HEAD_BYTES + chunk_bytes, np.uint8)
        self._device = cuda.device_array(HEAD_BYTES + chunk_bytes, np.uint8)
        self._part, self._block = part_bytes, part_bytes * THREADS
        shape = self._blocks(chunk_bytes), ROW
        self._host_rows: np.ndarray = cuda.pinned_array(shape, np.int64)
        self._device_rows = cuda.device_array(shape, np.int64)
        self._tables = tables

    def send(self, size: int) -> None:
        """Copy the bytes before a chunk of `size` bytes and the chunk."""
        end = HEAD_BYTES + size
        self._device[:end].copy_to_device(self.host[:end], stream=self.stream)

    def count(self, size: int, history: int) -> None:
        """Count a chunk that was sent; `history` bytes before it are valid."""
        _count_parts[self._blocks(size), THREADS, self.stream, _SHARED](
            *(self._device, history, size, self._part),
            *(*self._tables, self._device_rows),
        )

    def receive(self, size: int) -> np.ndarray:
        """Copy the rows of a chunk; return their memory, overwritten by the next."""
        n = self._blocks(size)
        self._device_rows[:n].copy_to_host(self._host_rows[:n], stream=self.stream)
        return self._host_rows[:n]

    def _blocks(self, size: int) -> int:
        return -(-size // self._block)


class TextCounter:
    """Count the text of consecutive chunks on the current device.

    Fill the beginning of `buffer` and call `submit`; repeat; `finish` returns the
    results. While the next chunk is filled, the last one is copied and counted.

    Parameters
    ----------
    encoding : {"utf-8", "bytes"}
        As for `mpiapps.kernels.text.count_text`.
    chunk_bytes : int
        Size of `buffer`. The memory is twice as much, on the host (pinned) and on the
        device, and 2 MiB for the automaton.
    part_bytes : int
        Bytes that a thread counts, at most 340.
    """

    def __init__(
        self,
        encoding: str,
        chunk_bytes: int = CHUNK_BYTES,
        part_bytes: int = PART_BYTES,
    ) -> None:
        tables = device_tables(encoding)
        self._slots = [Slot(tables, chunk_bytes, part_bytes) for _ in range(SLOTS)]
        self.begin()

    def begin(self) -> None:
        """Begin a new text; results that were not fetched are dropped."""
        for slot in self._slots:
            slot.stream.synchronize()
        self._history = np.empty(0, np.uint8)
        self._results: list[np.ndarray] = []
        self._received: np.ndarray | None = None  # of the last chunk, incomplete

    @property
    def buffer(self) -> np.ndarray:
        """Where the next chunk belongs, uint8; another one after each `submit`."""
        return self._slots[0].host[HEAD_BYTES:]

    def submit(self, size: int) -> None:
        """Count the first `size` bytes of `buffer`; return before that is done.

        Waits for the chunk before it, whose memory is the next `buffer`.
        """
        if size == 0:
            return
        slot, history = self._slots[0], len(self._history)
        before, end = HEAD_BYTES - history, HEAD_BYTES + size
        slot.host[before:HEAD_BYTES] = self._history
        self._history = slot.host[max(before, size) : end].copy()
        slot.send(size)
        slot.count(size, history)
        received = slot.receive(size)
        self._slots.append(self._slots.pop(0))
        self._fetch()
        self._received = received

    def finish(self) -> np.ndarray:
        """Return the rows of the text, in order, and begin a new one.

        Returns
        -------
        ndarray of int64, (rows, 7)
            Lines, words, characters, bytes of an incomplete character at the end,
            invalid bytes, and `joins` and `state` of `mpiapps.kernels.text.TextCounts`.
            The first row is of unknown state before it.
        """
        self._slots.append(self._slots.pop(0))
        self._fetch()
        rows = np.concatenate([np.empty((0, ROW), np.int64), *self._results])
        self.begin()
        return rows

    def _fetch(self) -> None:
        """Wait for the chunk of the next slot, the last one sent, and keep its rows."""
        self._slots[0].stream.synchronize()
        if self._received is not None:
            self._results.append(self._received.copy())
            self._received = None
