"""Row groups of Parquet files, distributed dynamically over ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.app.context import RunContext
from mpiapps.base.errors import InputError, os_errors
from mpiapps.base.optional import import_optional
from mpiapps.kernels.jit import is_cached
from mpiapps.kernels.tips import KERNELS, count_tips
from mpiapps.tasks.engine import run_tasks
from mpiapps.tasks.executors import counter
from mpiapps.tasks.task_journal import TaskJournal
from mpiapps.tasks.task_set import TaskSet
from mpiapps.taxi_tips.summary import COLUMNS, GroupCounts

EMPTY = np.empty(0)
Trips = tuple[np.ndarray, np.ndarray, np.ndarray]  # tips, fares, payment types


def count_by_ranks(
    ctx: RunContext, names: list[str], edges: np.ndarray
) -> list[GroupCounts]:
    """Return the counts of each row group, on the root. Collective.

    Each rank reads only three columns of the row groups that it counts. Cost: 8 bytes
    per row group, and a gather of the counts.
    """
    with ctx.compiling(any(not is_cached(kernel) for kernel in KERNELS)):
        count_group((EMPTY, EMPTY, EMPTY), edges)
    groups = None
    with ctx.world.timed("plan"), ctx.world.agree():
        # On all ranks at once, not at the first read of each.
        import_optional("pyarrow.parquet", "files", "reading Parquet")
        if ctx.world.is_root:
            groups = [(f, g) for f, name in enumerate(names) for g in row_groups(name)]
    tasks = RowGroupTasks(names, ctx.world.comm.bcast(groups), edges)
    header = {"program": "tips", "edges": edges.tolist()}
    journal = TaskJournal(ctx.journal_directory(""), header)
    results = run_tasks(ctx, tasks, counter, journal)
    results.stop_if_remaining(ctx, "row groups")
    parts = []
    for number, value in zip(results.numbers.tolist(), results.values, strict=True):
        (file, group), (count, total, counts) = tasks.groups[number], value
        parts.append(GroupCounts(file, group, count, total, np.array(counts, np.int64)))
    return parts


class RowGroupTasks(TaskSet):
    """The row groups of files, as tasks."""

    unit = "row groups"

    def __init__(
        self, names: list[str], groups: list[tuple[int, int]], edges: np.ndarray
    ) -> None:
        self.groups, self._names, self._edges = groups, names, edges
        self._reader = RowGroupReader(names)

    def __len__(self) -> int:
        """Return the number of row groups."""
        return len(self.groups)

    def run(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield count, total and histogram of each row group."""
        for number in numbers:
            yield count_group(self._reader.read(*self.groups[number]), self._edges)

    def key(self, number: int) -> list[Any]:
        """Return name, size and time of the file, and the row group."""
        file, group = self.groups[number]
        status = Path(self._names[file]).stat()
        return [self._names[file], status.st_size, status.st_mtime_ns, group]


def count_group(trips: Trips, edges: np.ndarray) -> tuple[int, float, list[int]]:
    """Return the number of trips, the sum of their percentages, and the histogram."""
    counts = np.zeros(len(edges) - 1, np.int64)
    count, total = count_tips(*trips, edges, counts)
    return int(count), float(total), counts.tolist()


class RowGroupReader:
    """Reader of row groups that keeps the last file open."""

    def __init__(self, names: list[str]) -> None:
        self._names, self._file = names, -1
        self._parquet: Any = None

    def read(self, file: int, group: int) -> Trips:
        """Return tips, fares and payment types, each float64."""
        if file != self._file:
            self._parquet, self._file = _open_parquet(self._names[file]), file
        with os_errors(self._names[file], "read"):
            table = self._parquet.read_row_group(
                group, columns=COLUMNS, use_threads=False
            )
        tips, fares, payments = (numbers(table.column(name)) for name in COLUMNS)
        return tips, fares, payments


def row_groups(name: str) -> range:
    """Return the row groups of a file, and check its columns.

    Raises
    ------
    InputError
        If it is not a Parquet file with numeric `COLUMNS`.
    FileAccessError
        If it cannot be read.
    """
    file = _open_parquet(name)
    missing = set(COLUMNS) - set(file.schema_arrow.names)
    if missing:
        raise InputError(
            f"{name} has no column {', '.join(sorted(missing))}; expected taxi trips"
        )
    empty = file.schema_arrow.empty_table()
    for column in COLUMNS:
        try:
            numbers(empty.column(column))
        except ValueError as error:
            raise InputError(f"{name}: {column}: {error}") from error
    return range(file.num_row_groups)


def _open_parquet(name: str) -> Any:
    from pyarrow import ArrowInvalid, parquet

    with os_errors(name, "read"):
        Path(name).stat()  # the error of Arrow has no reason
        try:
            # For three columns, read-ahead threads cost more than they save.
            return parquet.ParquetFile(name, pre_buffer=False)
        except ArrowInvalid as error:
            raise InputError(f"cannot read {name}: {error}") from error
