"""The operations of the program: from its options to reported values and output."""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.file_names import input_name
from mpiapps.fileops import columns
from mpiapps.fileops.choices import COUNTS
from mpiapps.fileops.count import ROW, TextCount, join_words
from mpiapps.fileops.csv_quotes import read_quote_states
from mpiapps.fileops.digest import Digest, line_with_name, manifest_line
from mpiapps.fileops.file_run import MAX_KEPT_NUMBERS, FileRun, ValuesAndLines
from mpiapps.fileops.images import ImageTransform
from mpiapps.fileops.map_function import MapFunction
from mpiapps.fileops.run_segments import SegmentResults
from mpiapps.fileops.table_columns import csv_options
from mpiapps.kernels.moments import exact_mean

MAX_WORD_BYTES = 2**10  # in the report; -o has words unchanged
MIN_WIDTH_ULPS = 2**10  # half width of the range if all numbers are equal


def _text_count(run: FileRun) -> TextCount:
    """Return the operation of `count`, on the device if there is one."""
    options, operation = run.options, TextCount
    if run.device is not None:
        from mpiapps.fileops.device_count import DeviceTextCount

        operation = DeviceTextCount
    return operation(
        options.encoding,
        options.only,
        decompress=not options.no_decompress,
        top=options.top > 0,
        strict_utf8=options.strict_utf8,
        recorded=run.recorded,
    )


def count(run: FileRun) -> ValuesAndLines:
    """Count lines, words, characters, bytes. Collective."""
    options, operation = run.options, _text_count(run)
    results = run.execute(operation)
    wanted = options.only or COUNTS
    indices = [n for n, name in enumerate(COUNTS) if name in wanted]
    rows = join_words(results.files, np.reshape(results.values, (-1, ROW)))
    total = rows.sum(axis=0, dtype=np.int64).tolist()
    values = {COUNTS[n]: total[n] for n in indices}
    if total[4] and options.encoding == "utf-8" and "characters" in values:
        values["invalid"] = total[4]
    if options.top:
        with run.ctx.world.timed("top"):
            top = operation.most_frequent(run.ctx.world, options.top, run.errors)
        values["top"] = [f"{_shortened(word)}:{n}" for word, n in top]
        return values, [f"{n} {os.fsdecode(word)}\n" for word, n in top]
    lines, per_file = [], []
    if (options.output or options.per_file) and len(rows):
        firsts = np.flatnonzero(np.diff(results.files, prepend=-1))
        counts = np.add.reduceat(rows, firsts)[:, indices].tolist()
        for row, file in zip(counts, results.files[firsts].tolist(), strict=True):
            name = run.listing.names[file]
            lines.append(line_with_name(" ".join(map(str, row)) + " ", name))
            if options.per_file:
                named = zip((COUNTS[n] for n in indices), row, strict=True)
                per_file.append({"path": name, **dict(named)})
    return values | ({"per_file": per_file} if options.per_file else {}), lines


def _shortened(word: bytes) -> str:
    """Return a word for the report and the record, without most of a long one.

    Launchers take a minute to forward a report of 16 MB.
    """
    if len(word) <= MAX_WORD_BYTES:
        return word.decode(errors="backslashreplace")
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    whole = decoder.decode(word[:MAX_WORD_BYTES])  # without a part of a character
    return f"{whole}... ({len(word)} bytes)"


def manifest(run: FileRun) -> ValuesAndLines:
    """Write a manifest of digests, or compare with one. Collective."""
    options, names = run.options, run.listing.names
    results = run.execute(Digest(options.algorithm))
    digests = {file: digest for file, (digest,) in results.by_file().items()}
    if options.check:
        source = input_name(options.check)
        changed = {
            file: f"its digest {digest} differs from that in {source}"
            for file, digest in digests.items()
            if digest != run.expected[names[file]]
        }
        run.errors |= run.ctx.world.comm.bcast(changed, run.ctx.world.root)
    values = {}
    if options.per_file:
        values["per_file"] = [
            {"path": names[file], options.algorithm: digest}
            for file, digest in digests.items()
            if file not in run.errors
        ]
    return values, [
        manifest_line(names[file], digest).decode(errors="surrogateescape")
        for file, digest in digests.items()
    ]


def flip(run: FileRun) -> ValuesAndLines:
    """Mirror or rotate images. Collective."""
    options, names = run.options, run.listing.names
    output_dir = Path(options.output_dir)
    operation = ImageTransform(options.transform, output_dir, options.format, names)
    results = run.execute(operation)
    return {}, [line_with_name("", target) for target in results.values]


def resize(run: FileRun) -> ValuesAndLines:
    """Write images in another size. Collective."""
    options = run.options
    operation = ImageTransform(
        "none",
        Path(options.output_dir),
        options.format,
        run.listing.names,
        box=options.size,
        factor=options.factor or 1.0,
    )
    results = run.execute(operation)
    return {}, [line_with_name("", target) for target in results.values]


def histogram(run: FileRun) -> ValuesAndLines:
    """Count the numbers of columns in intervals. Collective.

    Passes over the files, for each column: quotes, extent, counts. The last pass reads
    segments whose numbers the second one did not keep in memory; none are kept if
    results are recorded. A file that fails for one column counts for none.
    """
    several = len(run.options.column) > 1
    parts = [
        _HistogramColumn(run, name, f"{n}-" if several else "")
        for n, name in enumerate(run.options.column)
    ]
    for part in parts:
        part.count()
    rows = [part.values() for part in parts]
    header = "column,low,high,count" if several else "low,high,count"
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, part in zip(run.options.column, parts, strict=True):
        writer.writerows([name, *row] if several else row for row in part.intervals())
    lines = [f"{header}\n", text.getvalue()]
    if not several:
        return rows[0], lines
    values = {key: [row.get(key) for row in rows] for key in _HISTOGRAM_VALUES}
    return {"column": [*run.options.column], **values}, lines


_HISTOGRAM_VALUES = (
    *("numbers", "mean", "least", "largest"),
    *("others", "low", "high", "below", "above"),
)


class _HistogramColumn:
    """One column of `histogram`. Collective to create: finds its extent.

    Parameters
    ----------
    run : FileRun
    name : str
        Of the column.
    prefix : str
        Of the names of recorded passes.
    """

    def __init__(self, run: FileRun, name: str, prefix: str) -> None:
        self._run, self._prefix = run, prefix
        source = columns.ColumnReader(name, csv_options(run), run.listing.names)
        read_quote_states(run, source)
        room = 0 if run.recorded else MAX_KEPT_NUMBERS // len(run.options.column)
        self._source, self._moments = source, columns.ColumnMoments(source, room)
        self._extent = run.execute(self._moments, f"{prefix}extent")
        self._results: SegmentResults | None = None  # of the pass for the counts

    def _good(self, results: SegmentResults) -> list[Any]:
        """Return the results of files that have not failed. Root only."""
        parts = zip(results.files.tolist(), results.values, strict=True)
        return [part for file, part in parts if file not in self._run.errors]

    def count(self) -> None:
        """Count the numbers in each interval. Collective."""
        run, bins = self._run, self._run.options.bins
        comm, kept_numbers = run.ctx.world.comm, self._moments.kept_numbers
        parts = self._good(self._extent)
        limits = run.options.range or _extent([part for part in parts if part[0]])
        self._range, segments = comm.bcast((limits, len(parts)))
        low, high = self._range
        self._edges = _edges(low, high, bins)
        done = set().union(*comm.allgather(list(kept_numbers)))
        operation = columns.ColumnHistogram(self._source, self._edges, done)
        if sum(file not in run.errors for file, _ in done) < segments:
            name = f"{self._prefix}counts-{low!r}-{high!r}-{bins}"
            self._results = run.execute(operation, name)
        with run.ctx.world.timed("kernel"):
            kept = kept_numbers.items()
            good = (arrays for (file, _), arrays in kept if file not in run.errors)
            local = operation.counts(values for arrays in good for values in arrays)
        self._kept = np.zeros_like(local)
        comm.Reduce(local, self._kept, root=run.ctx.world.root)

    def values(self) -> dict[str, Any]:
        """Return the values of the record. Root only."""
        parts, (low, high) = self._good(self._extent), self._range
        others = sum(part[1] for part in parts)
        counted = self._good(self._results) if self._results else []
        counts = np.sum([self._kept, *filter(None, counted)], axis=0).tolist()
        self._counts = counts[:-2]
        moments = _moments([part for part in parts if part[0]])
        return {**moments, "others": others, "low": low, "high": high,
                "below": counts[-2], "above": counts[-1]}  # fmt: skip

    def intervals(self) -> Iterator[tuple[float, float, int]]:
        """Yield low and high edges, and counts, after `values`. Root only."""
        edges = self._edges.tolist()
        yield from zip(edges[:-1], edges[1:], self._counts, strict=True)


def map_files(run: FileRun) -> ValuesAndLines:
    """Call a user's function. Collective."""
    options = run.options
    results = run.execute(MapFunction(options.paths[0], records=options.records))
    lines = []
    for file, parts in results.by_file().items():
        for start, value in parts:
            row = {"path": run.listing.names[file], "start": start, "value": value}
            lines.append(json.dumps(row) + "\n")
    return {"results": len(lines)}, lines


def _moments(parts: list[list[Any]]) -> dict[str, Any]:
    count = sum(int(part[0]) for part in parts)
    if not count:
        return {"numbers": 0}
    mean = exact_mean(count, [(part[4], part[5]) for part in parts])
    least, largest = min(part[2] for part in parts), max(part[3] for part in parts)
    return {"numbers": count, "mean": mean, "least": least, "largest": largest}


def _extent(parts: list[list[Any]]) -> tuple[float, float]:
    """Return the range of a histogram of all numbers."""
    if not parts:
        return 0.0, 1.0
    low, high = min(part[2] for part in parts), max(part[3] for part in parts)
    if low < high:
        return low, high
    half = max(0.5, MIN_WIDTH_ULPS * math.ulp(low))
    largest = sys.float_info.max
    return max(low - half, -largest), min(high + half, largest)


def _edges(low: float, high: float, bins: int) -> np.ndarray:
    """Return the edges of equal intervals, also if the range overflows float64."""
    if math.isfinite(high - low):
        return np.linspace(low, high, bins + 1)
    return 2 * np.linspace(low / 2, high / 2, bins + 1)
