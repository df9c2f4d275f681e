"""`files describe`: counts, moments and exact percentiles of columns."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.fileops.csv_quotes import read_quote_states
from mpiapps.fileops.file_run import MAX_KEPT_NUMBERS, FileRun, ValuesAndLines
from mpiapps.fileops.run_segments import SegmentResults
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.summary import ColumnSummary, ColumnTotal, RefinedCounts
from mpiapps.fileops.table_columns import chosen_columns, invalid_notes, result_names
from mpiapps.fileops.tables import TableReader
from mpiapps.kernels.selection import (
    LEVELS,
    Selection,
    interpolate,
    percentile_indices,
)

CHANGED = "a file changed while it was read; run again"


def describe(run: FileRun) -> ValuesAndLines:
    """Describe columns. Collective.

    Passes over the files: quotes, totals, and one for each of the other `LEVELS` of
    bits. These read only segments whose numbers are not in memory since the first one;
    none are kept if results are recorded.
    """
    options, world = run.options, run.ctx.world
    columns, csv_options = chosen_columns(run)
    source = TableReader(columns, csv_options, run.listing.names)
    read_quote_states(run, source)
    summary = ColumnSummary(source, 0 if run.recorded else MAX_KEPT_NUMBERS)
    results = run.execute(summary, "summary")
    refinement = _Refinement(run, source, summary, results, options.percentiles)
    for level in range(1, len(LEVELS)):
        refinement.run_level(level)
    if not world.is_root:
        return {}, []
    columns = tuple(result_names(columns))
    run.notes += invalid_notes(run, columns, refinement.totals)
    rows = [
        {"column": name, **row}
        for name, row in zip(columns, refinement.described(), strict=True)
    ]
    names = ["column", *_NAMES, *map(_percent, options.percentiles), "max"]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return {name: [row[name] for row in rows] for name in names}, [text.getvalue()]


_NAMES = ("count", "missing", "invalid", "mean", "std", "min")


def _percent(percentile: float) -> str:
    short = f"{percentile:g}"
    return f"{short if float(short) == percentile else percentile}%"


class _Refinement:
    """The passes that find the percentiles, and the sums of squares."""

    def __init__(
        self,
        run: FileRun,
        source: TableReader,
        summary: ColumnSummary,
        results: SegmentResults,
        percentiles: Sequence[float],
    ) -> None:
        self._run, self._source, self._percentiles = run, source, percentiles
        self.totals = [ColumnTotal() for _ in source.columns]
        for file, parts in results.by_file().items():
            for part in parts:
                for total, column in zip(self.totals, part, strict=True):
                    total.add(file, column)
        self._failed = set(run.errors)
        comm = run.ctx.world.comm
        kept = summary.kept_numbers
        self._kept = [values for (file, _), arrays in kept.items()
                      if file not in self._failed for values in arrays]  # fmt: skip
        self._done = set().union(*comm.allgather(list(kept)))
        files, starts, _ = (column.tolist() for column in results.segments)
        self._reads = any(
            at not in self._done
            for at in zip(files, starts, strict=True)
            if at[0] not in self._failed
        )
        self._squares: list[list[tuple[int, int]]] = [[] for _ in self.totals]
        self._selections = []
        for total in self.totals:
            indices = [self._indices(total.count, each) for each in percentiles]
            ranks = [n for low, high, _ in indices for n in (low, high)]
            selection = Selection(ranks if total.count else [])
            selection.narrow(total.counts)
            self._selections.append(selection)

    @staticmethod
    def _indices(count: int, percentile: float) -> tuple[int, int, float]:
        return percentile_indices(count, percentile) if count else (0, 0, 0.0)

    def _skips(self, segment: Segment) -> bool:
        failed = segment.file in self._failed
        return failed or (segment.file, segment.start) in self._done

    def run_level(self, level: int) -> None:
        """Determine the next bits, in a pass over the numbers. Collective."""
        run, world = self._run, self._run.ctx.world
        centers = [(t.mean if t.count else 0.0, t.scale if t.count else 1.0)
                   for t in self.totals]  # fmt: skip
        prefixes = [each.prefixes for each in self._selections]
        prefixes, centers = world.comm.bcast((prefixes, centers), world.root)
        operation = RefinedCounts(
            self._source, level, prefixes, centers if level == 1 else (), self._skips
        )
        # What the recorded counts depend on, besides the files.
        bits = [each.tolist() for each in prefixes]
        basis = repr((bits, centers, sorted(self._failed)))
        digest = hashlib.blake2b(basis.encode(), digest_size=6).hexdigest()
        read = []
        if self._reads:
            read = run.execute(operation, f"bits-{level}-{digest}").values
        if changed := set(run.errors) - self._failed:
            file = min(changed)
            raise InputError(
                f"{run.listing.names[file]}: {run.errors[file]}; {CHANGED}"
            )
        with world.timed("kernel"):
            if level > 1:  # from here on few numbers begin with the bits found
                self._kept = operation.matching(self._kept)
            squares = operation.count(self._kept, operation.counts)
        parts = world.comm.gather(squares, root=world.root) or []
        local = np.concatenate(
            [np.empty(0, np.int64), *map(np.ravel, operation.counts)]
        )
        total = np.zeros_like(local)
        world.comm.Reduce(local, total, root=world.root)
        with world.agree():
            if world.is_root:
                self._narrow(operation.counts, total)
        if level == 1:
            for part in (*parts, *filter(None, read)):
                for column, square in zip(self._squares, part, strict=True):
                    column.append(square)

    def _narrow(self, shapes: list[np.ndarray], total: np.ndarray) -> None:
        ends = np.cumsum([each.size for each in shapes], dtype=np.int64)
        parts = np.split(total, ends)[:-1]  # without columns none
        for selection, shape, counts in zip(
            self._selections, shapes, parts, strict=True
        ):
            if not selection.narrow(counts.reshape(shape.shape)):
                raise InputError(CHANGED)

    def described(self) -> list[dict[str, Any]]:
        """Return the row of each column. Root only."""
        rows = []
        for total, selection, squares in zip(
            self.totals, self._selections, self._squares, strict=True
        ):
            row: dict[str, Any] = {"count": total.count, "missing": total.missing}
            row["invalid"] = total.invalid
            names = ("mean", "std", "min", *map(_percent, self._percentiles), "max")
            row |= dict.fromkeys(names)
            if total.count:
                row |= {"mean": total.mean, "std": total.std(squares),
                        "min": total.least, "max": total.largest}  # fmt: skip
                numbers = selection.numbers()
                for k, percentile in enumerate(self._percentiles):
                    weight = percentile_indices(total.count, percentile)[2]
                    low, high = numbers[2 * k : 2 * k + 2]
                    row[_percent(percentile)] = interpolate(low, high, weight)
            rows.append(row)
        return rows
