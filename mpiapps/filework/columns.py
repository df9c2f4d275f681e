"""The distribution of the numbers in one column of CSV or Parquet files."""

from __future__ import annotations

import csv
import importlib
import io
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.base.named import needed
from mpiapps.filework.operation import Operation
from mpiapps.filework.reading import LONGEST, Reader, after
from mpiapps.filework.segments import OPENING, Segment
from mpiapps.kernels.columns import KERNELS, QUOTE, column, count_quotes, end_of_record

NOTHING, ONE = np.empty(0, np.uint8), np.full(1, 97, np.uint8)


class Quotes(Operation):
    """Counts quotes, to know which line ends are inside of some. Local."""

    kernels: Sequence[Callable[..., Any]] = (count_quotes,)
    opening = OPENING

    def __init__(self) -> None:
        self._reader = Reader(lambda _, place: place)

    def warm(self) -> None:
        """Call the kernel once."""
        count_quotes(ONE)

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return not is_parquet(name) and self._reader.cuts(name)

    def do(self, segment: Segment) -> int:
        """Return the number of quotes in exactly these bytes."""
        if segment.whole:
            return 0
        return sum(count_quotes(block) for block in self._reader.blocks(segment))

    def kept(self, segment: Segment, value: Any) -> Any:
        """Return the number with the place behind these bytes."""
        return segment.stop, value


def inside_quotes(results: Mapping[int, Sequence[tuple[int, int]]]) -> set[Any]:
    """Return the places, with their files, at which quotes are open. Local.

    `results`: what `Quotes` found in the segments of each file, in order.
    """
    found = set()
    for file, parts in results.items():
        total = 0
        for stop, quotes in parts:
            total += quotes
            if total % 2:
                found.add((file, stop))
    return found


class Column:
    """Reads the numbers of one column. Local.

    Parameters
    ----------
    name : str
        As in the first record, or the column's number from 1.
    delimiter : str
        One character; empty: a tab for ``.tsv``, else a comma.
    inside : set of tuple of int
        What `inside_quotes` returned.
    """

    def __init__(self, name: str, delimiter: str, inside: set[Any]) -> None:
        self._name, self._delimiter, self._inside = name, delimiter, inside
        self._reader = Reader(self._edge)
        self._file = -1
        self._place = (0, False)

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return not is_parquet(name) and self._reader.cuts(name)

    @staticmethod
    def warm() -> None:
        """Call the kernels once."""
        column(ONE, 0)
        end_of_record(ONE, False)

    def values(self, segment: Segment) -> Iterator[np.ndarray]:
        """Yield the numbers of a segment, NaN for what is none, some at a time.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, or has no such column.
        """
        if is_parquet(segment.name):
            yield from _parquet(segment.name, self._name)
            return
        tab = "\t" if ".tsv" in segment.name.lower() else ","
        delimiter = self._delimiter or tab
        if self._file != segment.file:
            self._place = self._header(segment, delimiter)
            self._file = segment.file
        number, named = self._place
        rest, skip = NOTHING, named and segment.start == 0
        for block in self._reader.blocks(segment):
            whole = np.concatenate((rest, block)) if len(rest) else block
            used = 0
            if skip:
                used = max(0, end_of_record(whole, False)[0])
                skip = used == 0
            if not skip:
                found, more = column(whole[used:], number, delimiter, last=False)
                used += more
                yield found
            rest = whole[used:].copy()
            if len(rest) > LONGEST:
                raise ValueError(f"a record is longer than {LONGEST} bytes")
        if len(rest) and not skip:
            yield column(rest, number, delimiter)[0]

    def _header(self, segment: Segment, delimiter: str) -> tuple[int, bool]:
        """Return the column's number, and whether the first record has names."""
        first = segment._replace(start=0, stop=segment.size)
        block = next(Reader().blocks(first), NOTHING)
        text = block.tobytes().decode("utf-8-sig", "replace")
        names = next(csv.reader(io.StringIO(text), delimiter=delimiter), [])
        if self._name in names:
            return names.index(self._name), True
        if not self._name.isdigit() or not 1 <= int(self._name) <= max(1, len(names)):
            known = ", ".join(names[:20])
            raise ValueError(f"no column {self._name}; the first record is {known}")
        number = int(self._name) - 1
        return number, bool(names) and not _is_number(names[number])

    def _edge(self, file: int, place: int) -> int:
        """Return where the first record at or behind a place begins."""
        quoted = (self._file, place) in self._inside
        byte = os.pread(file, 1, place - 1)  # `quoted` is as it is behind this one
        quoted ^= byte == bytes([QUOTE])

        def behind(data: bytes) -> int:
            nonlocal quoted
            end, quoted = end_of_record(np.frombuffer(data, np.uint8), quoted)
            return end

        return after(file, place - 1, behind)


class Extent(Operation):
    """Finds the extent and the sum of the numbers. Local."""

    kernels: Sequence[Callable[..., Any]] = KERNELS
    opening = OPENING

    def __init__(self, source: Column) -> None:
        self._source = source

    def warm(self) -> None:
        """Call the kernels once."""
        self._source.warm()

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return self._source.cuts(name)

    def do(self, segment: Segment) -> list[float]:
        """Return how many numbers and other entries, least, largest, and sum."""
        count = others = 0
        least, most, sums = math.inf, -math.inf, [0.0]
        for values in self._source.values(segment):
            finite = values[np.isfinite(values)]
            others += len(values) - len(finite)
            if len(finite):
                count += len(finite)
                least = min(least, float(finite.min()))
                most = max(most, float(finite.max()))
                sums.append(float(finite.sum()))
        ends = [least, most] if count else [0.0, 0.0]
        total = math.fsum(sums)
        if not math.isfinite(total):
            raise ValueError("the sum of the numbers is too large")
        return [count, others, *ends, total]


class Histogram(Operation):
    """Counts the numbers between edges. Local.

    Parameters
    ----------
    source : Column
    edges : ndarray of float64
        Ascending; the last interval holds its right edge, too, as in `np.histogram`.
    """

    kernels: Sequence[Callable[..., Any]] = KERNELS
    opening = OPENING

    def __init__(self, source: Column, edges: np.ndarray) -> None:
        self._source, self._edges = source, edges

    def warm(self) -> None:
        """Call the kernels once."""
        self._source.warm()

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return self._source.cuts(name)

    def do(self, segment: Segment) -> list[int]:
        """Return the counts, and behind them what lies below and above."""
        counts = np.zeros(len(self._edges) + 1, np.int64)
        low, high = self._edges[0], self._edges[-1]
        for values in self._source.values(segment):
            counts[:-2] += np.histogram(values[np.isfinite(values)], self._edges)[0]
            counts[-2] += (values < low).sum()
            counts[-1] += (values > high).sum()
        found: list[int] = counts.tolist()
        return found


def is_parquet(name: str) -> bool:
    """Return whether a name is that of a Parquet file. Local."""
    return name.lower().endswith((".parquet", ".pq"))


def check_parquet() -> None:
    """Raise `LaunchError` if Parquet files cannot be read here. Local."""
    needed("pyarrow.parquet", "files", "reading Parquet")


def _parquet(name: str, wanted: str) -> Iterator[np.ndarray]:
    file = importlib.import_module("pyarrow.parquet").ParquetFile(name)
    names = file.schema_arrow.names
    if wanted not in names and wanted.isdigit() and 1 <= int(wanted) <= len(names):
        wanted = names[int(wanted) - 1]
    if wanted not in names:
        raise ValueError(f"no column {wanted}; there are {', '.join(names[:20])}")
    for batch in file.iter_batches(columns=[wanted]):
        yield numbers(batch.column(0))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
