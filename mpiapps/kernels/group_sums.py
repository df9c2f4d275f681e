"""A table of keys with the count and the exact sum of the numbers of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mpiapps.kernels.columns import unquote
from mpiapps.kernels.groups import (
    CARRY_CELLS,
    CARRY_INTERVAL,
    CELL_BITS,
    NO_ROOM,
    QUOTED_KEY,
    GroupArrays,
    Sums,
    add_rows,
    carry_rows,
    cell_range,
    merge_groups,
)
from mpiapps.kernels.records import Dialect
from mpiapps.kernels.word_edges import BEGIN, COUNT, LENGTH, copy_words
from mpiapps.kernels.words import WordArrays, WordCounts, larger, owners_of


class GroupSums(WordCounts):
    """A table of keys, with the count and the exact sum of the numbers of each."""

    def __init__(self) -> None:
        super().__init__()
        self._others = np.zeros(len(self._rows), np.int64)
        self._cells = np.zeros((len(self._rows), 0), np.int64)
        self._first = self._added = 0

    @property
    def groups(self) -> GroupArrays:
        """The groups as arrays, with carries propagated."""
        carry_rows(self._cells[: len(self)])
        n = len(self)
        return GroupArrays(self.arrays, self._others[:n], self._cells[:n], self._first)

    def add_values(
        self, data: np.ndarray, spans: np.ndarray, dialect: Dialect | None,
        values: np.ndarray,
    ) -> None:  # fmt: skip
        """Add values to the groups of their keys.

        Parameters
        ----------
        data : ndarray of uint8
        spans : ndarray of int32, (n, 2)
            First byte of each key in `data`, and the byte after it.
        dialect : Dialect, optional
            If the keys are fields of CSV, with quotes.
        values : ndarray of float64, (n,)
        """
        self._reach(*cell_range(values, values.view(np.int64)))
        self._count_added(len(values))
        quote, strip = (dialect.quote, True) if dialect else (-1, False)
        done, keys = 0, (data, spans, quote, strip)
        while done < len(values):
            bits = values.view(np.int64)
            done, reason = add_rows(
                keys, (values, bits), self._store(), self._sums(), done
            )
            if reason == NO_ROOM:
                self._grow(int(spans[done, 1] - spans[done, 0]))
            elif reason == QUOTED_KEY and dialect:
                begin, end = spans[done].tolist()
                raw = data[begin:end].tobytes().removesuffix(b"\r")
                key = np.frombuffer(bytearray(unquote(raw, dialect)), np.uint8)
                span = np.array([[0, len(key)]], np.int32)
                self.add_values(key, span, None, values[done : done + 1])
                done += 1

    def merge_groups(self, other: GroupArrays) -> None:
        """Add the groups of another table."""
        (rows, heap), others, cells, first = other
        if cells.shape[1]:
            self._reach(first, first + cells.shape[1] - CARRY_CELLS)
        else:
            first = self._first
        self._count_added(CARRY_INTERVAL)
        done, added = 0, (others, cells, first)
        while done < len(rows):
            sums = self._sums()
            done = merge_groups(done, (rows, heap), added, self._store(), sums)
            if done < len(rows):
                self._grow(int(rows[done, LENGTH]))

    def split_groups(self, n: int) -> list[GroupArrays]:
        """Return the groups in `n` shares; a key is in the same share on all ranks."""
        (rows, heap), others, cells, first = self.groups
        owners, shares = owners_of(rows, n), []
        for owner in range(n):
            mine = owners == owner
            share = rows[mine]
            share_heap = np.empty(int(share[:, LENGTH].sum()), np.uint8)
            copy_words(share, heap, share_heap)
            keys = WordArrays(share, share_heap)
            shares.append(GroupArrays(keys, others[mine], cells[mine], first))
        return shares

    def totals(self) -> Iterator[tuple[bytes, int, int, int]]:
        """Yield key, count, others, and the sum times 2**1074, of each group."""
        (rows, heap), others, cells, first = self.groups
        data, power = heap.data, CELL_BITS * first
        for row, other, parts in zip(
            rows.tolist(), others.tolist(), cells.tolist(), strict=True
        ):
            key = bytes(data[row[BEGIN] : row[BEGIN] + row[LENGTH]])
            total = sum(part << (CELL_BITS * k + power) for k, part in enumerate(parts))
            yield key, row[COUNT], other, total

    def record(self) -> list[Any]:
        """Return the groups as JSON holds them."""
        _, _, cells, first = self.groups
        # A list, since a journal does not keep the order of a dict.
        keys = [[key.decode("latin-1"), n, other] for key, n, other, _ in self.totals()]
        return [first, cells.shape[1], keys, cells.tolist()]

    def merge_record(self, record: Sequence[Any]) -> None:
        """Add the groups of a `record`."""
        first, width, keys, cells = record
        table = WordCounts()
        table.update({key.encode("latin-1"): n for key, n, _ in keys})
        others = np.array([other for _, _, other in keys], np.int64)
        matrix = np.array(cells, np.int64).reshape(len(keys), width)
        self.merge_groups(GroupArrays(table.arrays, others, matrix, first))

    def _sums(self) -> Sums:
        return self._others, self._cells, self._first

    def _reach(self, first: int, stop: int) -> None:
        """Add cells, so that all from `first` to `stop` are there."""
        stop += CARRY_CELLS
        old_first, width = self._first, self._cells.shape[1]
        if stop - CARRY_CELLS <= first:
            return
        if width:
            first, stop = min(first, old_first), max(stop, old_first + width)
        if width == stop - first:
            return
        if width:
            carry_rows(self._cells)
        cells = np.zeros((len(self._rows), stop - first), np.int64)
        begin = old_first - first if width else 0
        cells[:, begin : begin + width] = self._cells
        self._cells, self._first = cells, first

    def _count_added(self, n: int) -> None:
        self._added += n
        if self._added > CARRY_INTERVAL:
            carry_rows(self._cells[: len(self)])
            self._added = n

    def _grow(self, need: int) -> bool:
        grown = super()._grow(need)
        rows = len(self._rows)
        if len(self._others) < rows:
            used = len(self._others)
            self._others, self._cells = (
                larger(self._others, rows),
                larger(self._cells, rows),
            )
            self._others[used:] = 0
            self._cells[used:] = 0
        return grown
