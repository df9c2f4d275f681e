"""The distribution of the numbers in one column of CSV or Parquet files."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.filework.header import NAMED, Layout, Style, layout
from mpiapps.filework.operation import Operation
from mpiapps.filework.reading import SOME, Reader, opened
from mpiapps.filework.segments import OPENING, Segment
from mpiapps.kernels import columns, moments
from mpiapps.kernels.columns import Parser
from mpiapps.kernels.moments import Moments, tally
from mpiapps.kernels.records import (
    FIELD,
    NEWLINE,
    PLAIN,
    RECORD,
    STATES,
    Form,
    end_of_record,
    pass_quotes,
)

ONE = np.full(1, 97, np.uint8)
KERNELS = [*columns.KERNELS, *moments.KERNELS]
KEPT = 2**24  # numbers that a rank keeps from one pass through the files to the next
Place = tuple[int, int]  # a file by its place in the listing, and a byte of it


class Column:
    """Reads the numbers of one column. Local.

    Parameters
    ----------
    name : str
        A name or a number, as `header.layout` takes it.
    style : Style
    """

    def __init__(self, name: str, style: Style) -> None:
        self._name, self._style = name, style
        self._reader = Reader()
        self._file, self._layout = -1, Layout(0, 0)
        self.inside: Mapping[Place, int] = {}

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return not is_parquet(name) and self._reader.cuts(name)

    def form(self, name: str) -> Form:
        """Return how the records of a file are written."""
        return self._style.form(name)

    @staticmethod
    def warm() -> None:
        """Call the kernels once."""
        form = Form()
        end_of_record(ONE, RECORD, *form)
        pass_quotes(ONE, NEWLINE, *form, np.array(STATES))
        for values in Parser(0, form).numbers(ONE):
            Moments().add(values)
            tally(values, np.arange(2.0), np.zeros(3, np.int64))

    def layout(self, segment: Segment) -> Layout:
        """Return which column of the segment's file it is, and where data begin.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, or has no such column.
        """
        if self._file != segment.file:
            whole = segment._replace(start=0, stop=segment.size)
            blocks = self._reader.blocks(whole, SOME)
            form = self.form(segment.name)
            self._layout = layout(blocks, self._name, form, self._style.header)
            self._file = segment.file
        return self._layout

    def values(self, segment: Segment) -> Iterator[np.ndarray]:
        """Yield the numbers of a segment, NaN for what is none, some at a time.

        Raises
        ------
        OSError, EOFError, ValueError
            If the file cannot be read, has no such column, or ends inside quotes.
        """
        if is_parquet(segment.name):
            yield from _parquet(segment.name, self._name)
            return
        column, begin = self.layout(segment)
        form = self.form(segment.name)
        if not self.cuts(segment.name):
            parser = Parser(column, form)
            for block in _behind(self._reader.blocks(segment), begin):
                yield from parser.numbers(block)
            yield from parser.end()
            return
        start = min(max(segment.start, begin), segment.stop)
        where = RECORD if start <= begin else self._where(segment, form)
        parser = Parser(column, form, where, start)
        for block in self._reader.blocks(segment._replace(start=start)):
            yield from parser.numbers(block)
        behind = segment._replace(start=segment.stop, stop=segment.size)
        for block in self._reader.blocks(behind, SOME) if parser.open else ():
            yield from parser.numbers(block, once=True)
            if not parser.open:
                break
        yield from parser.end()

    def _where(self, segment: Segment, form: Form) -> int:
        """Return where the first byte of a segment stands in a record."""
        quoted = self.inside.get((segment.file, segment.start))
        if quoted is not None:
            return quoted
        with opened(segment) as file:
            (before,) = os.pread(file, 1, segment.start - 1) or b"\0"
        return {NEWLINE: RECORD, form.delimiter: FIELD}.get(before, PLAIN)


def _behind(blocks: Iterator[np.ndarray], n: int) -> Iterator[np.ndarray]:
    """Yield blocks without their first `n` bytes."""
    for block in blocks:
        yield block[n:]
        n = max(0, n - len(block))


class Extent(Operation):
    """Finds the extent and the sum of the numbers. Local.

    Parameters
    ----------
    source : Column
    most : int
        Numbers that are kept in memory, at most.

    Attributes
    ----------
    kept_numbers : dict of (int, int) to list of ndarray
        Those of whole segments, by file and first byte.
    """

    kernels: Sequence[Callable[..., Any]] = KERNELS
    opening = OPENING

    def __init__(self, source: Column, most: int = 0) -> None:
        self._source, self._room = source, most
        self.kept_numbers: dict[Place, list[np.ndarray]] = {}

    def warm(self) -> None:
        """Call the kernels once."""
        self._source.warm()

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return self._source.cuts(name)

    def do(self, segment: Segment) -> list[Any]:
        """Return how many numbers and other entries, least, largest, and exact sum."""
        found = Moments()
        parts: list[np.ndarray] = []
        for values in self._source.values(segment):
            found.add(values)
            if found.count <= self._room:
                parts.append(values[np.isfinite(values)])
        if found.count <= self._room:
            self._room -= found.count
            self.kept_numbers[segment.file, segment.start] = parts
        ends = [found.least, found.largest] if found.count else [0.0, 0.0]
        return [found.count, found.others, *ends, *found.total()]


class Histogram(Operation):
    """Counts the numbers between edges. Local.

    Parameters
    ----------
    source : Column
    edges : ndarray of float64
        Ascending; the last interval holds its right edge, too, as in `np.histogram`.
    done : collection of (int, int)
        Files and first bytes of segments that are counted without it.
    """

    kernels: Sequence[Callable[..., Any]] = KERNELS
    opening = OPENING

    def __init__(
        self, source: Column, edges: np.ndarray, done: Collection[Place] = ()
    ) -> None:
        self._source, self._edges, self._done = source, edges, done

    def warm(self) -> None:
        """Call the kernels once."""
        self._source.warm()

    def cuts(self, name: str) -> bool:
        """Return whether a file may be read from its middle."""
        return self._source.cuts(name)

    def do(self, segment: Segment) -> list[int]:
        """Return the counts, and behind them what lies below and above."""
        if (segment.file, segment.start) in self._done:
            return []
        found: list[int] = self.counts(self._source.values(segment)).tolist()
        return found

    def counts(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        """Return the counts of arrays of numbers."""
        counts = np.zeros(len(self._edges) + 1, np.int64)
        for values in parts:
            tally(values, self._edges, counts)
        return counts


def is_parquet(name: str) -> bool:
    """Return whether a name is that of a Parquet file. Local."""
    return name.lower().endswith((".parquet", ".pq"))


def _parquet(name: str, wanted: str) -> Iterator[np.ndarray]:
    file = importlib.import_module("pyarrow.parquet").ParquetFile(name)
    names = file.schema_arrow.names
    if wanted not in names and wanted.isdigit() and 1 <= int(wanted) <= len(names):
        wanted = names[int(wanted) - 1]
    if wanted not in names:
        raise ValueError(f"no column {wanted}; there are {', '.join(names[:NAMED])}")
    for batch in file.iter_batches(columns=[wanted]):
        yield numbers(batch.column(0))
