"""`files group`: count and mean of a column by the values of other ones."""

from __future__ import annotations

import csv
import importlib
import io
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.base.errors import InputError
from mpiapps.comm.world import World
from mpiapps.fileops.csv_quotes import read_quote_states
from mpiapps.fileops.file_run import FileRun, ValuesAndLines
from mpiapps.fileops.parquet import is_parquet
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.table_columns import csv_options
from mpiapps.fileops.tables import TableOperation, TableReader
from mpiapps.kernels import groups, joined_keys, words
from mpiapps.kernels.group_sums import GroupSums
from mpiapps.kernels.joined_keys import join_keys, split_key
from mpiapps.kernels.moments import exact_mean
from mpiapps.kernels.numbers_in_rows import NumberParser
from mpiapps.kernels.records import Dialect
from mpiapps.kernels.rows import Rows
from mpiapps.kernels.superaccumulator import UNIT_BITS

WHOLE_FILES = -1  # key of the groups of all files that are not split
MAX_GROUPS = 10**7  # of a rank: some 150 bytes each, and the key
MAX_REPORTED_GROUPS = 1000  # in the record
VALUE = -1  # index of the column of numbers, which comes after the keys

Batch = tuple[np.ndarray, np.ndarray, Dialect | None, np.ndarray]


class Groups(TableOperation):
    """Count and add the numbers of each key. `total` is collective.

    Parameters
    ----------
    source : TableReader
        Of the keys and the column of numbers.
    recorded : bool
        Whether results must contain the groups, since they are recorded.
    """

    kernels: Sequence[Callable[..., Any]] = [
        *TableOperation.kernels,
        *words.KERNELS,
        *groups.KERNELS,
        *joined_keys.KERNELS,
    ]
    splits_compressed = True

    def __init__(self, source: TableReader, *, recorded: bool) -> None:
        super().__init__(source)
        self._recorded = recorded
        self._groups: defaultdict[int, GroupSums] = defaultdict(GroupSums)

    def warm_up(self) -> None:
        """Compile the kernels by calling them once, import what reads Parquet."""
        super().warm_up()
        table, other = GroupSums(), GroupSums()
        data, span = np.full(2, 97, np.uint8), np.array([[0, 1]], np.int32)
        table.add_values(data, span, None, np.ones(1))
        for dialect in (None, Dialect()):
            join_keys(data, span[None], dialect)
        other.merge_groups(table.groups)
        other.merge_record(table.record())
        other.split_groups(1)

    def execute(self, segment: Segment) -> list[Any]:
        """Return the groups if they are to be recorded; else keep them.

        Raises
        ------
        InputError
            If a rank has more than `MAX_GROUPS` keys.
        """
        apart = segment.whole or self._recorded
        table = GroupSums() if apart else self._groups[segment.file]
        for batch in self._batches(segment):
            table.add_values(*batch)
            if len(table) > MAX_GROUPS:
                raise too_many_groups(self._source.columns[:VALUE])
        if self._recorded:
            return table.record()
        if segment.whole:
            self._merge(WHOLE_FILES, table)
        return []

    def _merge(self, file: int, table: GroupSums) -> None:
        self._groups[file].merge_groups(table.groups)
        if len(self._groups[file]) > MAX_GROUPS:
            raise too_many_groups(self._source.columns[:VALUE])

    def for_root(self, segment: Segment, value: list[Any]) -> None:
        """Keep the groups of a recorded result."""
        if value:
            table = GroupSums()
            table.merge_record(value)
            self._merge(WHOLE_FILES if segment.whole else segment.file, table)

    def _batches(self, segment: Segment) -> Iterator[Batch]:
        """Yield bytes of keys, their spans, the dialect of these, and the values."""
        source = self._source
        if is_parquet(segment.name):
            for arrays in source.parquet.batches(segment):
                keys = [text_of(array) for array in arrays[:VALUE]]
                yield *_one_key(*_in_one_buffer(keys), None), numbers(arrays[VALUE])
            return
        dialect = source.dialect(segment.name)
        for offset, rows in source.rows(segment):
            parser = NumberParser(1, dialect, rows.records)
            one = Rows(rows.buffer, rows.spans, rows.records, rows.order[VALUE:])
            spans = rows.spans[rows.order[:VALUE], : rows.records]
            key = _one_key(rows.buffer, spans, dialect)
            for values in parser.arrays([(offset, one)]):
                yield *key, values[0]

    def total(self, world: World, failed: Collection[int]) -> list[GroupSums]:
        """Return the groups of all ranks in tables of distinct keys. Collective.

        Those of `failed` files are left out. Empty except on the root. Cost: an
        alltoall and a gather of the groups, as arrays.
        """
        total = GroupSums()
        for file in list(self._groups):
            table = self._groups.pop(file)
            if file not in failed:
                total.merge_groups(table.groups)
        if world.size == 1:
            return [total]
        shares = world.objects.alltoall(total.split_groups(world.size))
        total = GroupSums()
        for share in shares:
            total.merge_groups(share)
        tables = []
        for part in world.objects.gather(total.groups, root=world.root) or ():
            tables.append(GroupSums())
            tables[-1].merge_groups(part)
        return tables


def _in_one_buffer(
    keys: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes of all columns of keys, and the spans of each column."""
    starts = np.cumsum([0, *(len(data) for data, _ in keys[:-1])])
    spans = [span + start for (_, span), start in zip(keys, starts, strict=True)]
    return np.concatenate([data for data, _ in keys]), np.array(spans, np.int32)


def _one_key(
    data: np.ndarray, spans: np.ndarray, dialect: Dialect | None
) -> tuple[np.ndarray, np.ndarray, Dialect | None]:
    """Return bytes, spans and dialect of keys; several columns are joined."""
    if len(spans) == 1:
        return data, spans[0], dialect
    return *join_keys(data, spans, dialect), None


def too_many_groups(columns: Sequence[str]) -> InputError:
    """Return the error of a key with too many values."""
    return InputError(
        f"{', '.join(columns)} has more than {MAX_GROUPS} distinct values on a rank,"
        " and each is kept in memory; group by a column with fewer, or use fewer files"
    )


def text_of(array: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes and the spans of a column of Arrow as text; empty for nulls."""
    pa: Any = importlib.import_module("pyarrow")
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    column = array.cast(pa.string()).fill_null("")
    _, offsets, data = column.buffers()
    ends = np.frombuffer(offsets, np.int32)[column.offset :][: len(column) + 1]
    spans = np.stack([ends[:-1], ends[1:]], axis=1)
    # Not read-only: numba would compile the kernels a second time for that.
    return np.frombuffer(bytearray(data or b""), np.uint8), spans


def group(run: FileRun) -> ValuesAndLines:
    """Count the numbers of a column, and compute their mean, by keys. Collective."""
    options, world = run.options, run.ctx.world
    (column,) = options.column
    columns, names = (*options.by, column), run.listing.names
    source = TableReader(columns, csv_options(run), names)
    read_quote_states(run, source)
    operation = Groups(source, recorded=run.recorded)
    run.execute(operation, "groups")
    several = len(options.by) > 1
    with world.timed("merge"):
        tables = operation.total(world, run.errors)
        rows = sorted(
            (split_key(key) if several else (key,), count, other, total)
            for table in tables
            for key, count, other, total in table.totals()
        )
    counts = [count for _, count, _, _ in rows]
    others = [other for _, _, other, _ in rows]
    means = [
        exact_mean(count, [(total, -UNIT_BITS)]) if count else None
        for _, count, _, total in rows
    ]
    values: dict[str, Any] = {"groups": len(rows), "numbers": sum(counts)}
    values["others"] = sum(others)
    if len(rows) <= MAX_REPORTED_GROUPS:
        keys = [_decoded(row[0], "backslashreplace") for row in rows]
        values["key"] = keys if several else [key for (key,) in keys]
        values |= {"count": counts, "mean": means}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*options.by, "count", "others", "mean"])
    for (key, count, other, _), mean in zip(rows, means, strict=True):
        writer.writerow([*_decoded(key, "surrogateescape"), count, other, mean])
    return values, [text.getvalue()]


def _decoded(key: Sequence[bytes], errors: str) -> list[str]:
    return [field.decode(errors=errors) for field in key]
