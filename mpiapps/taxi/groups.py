"""Row groups dealt to ranks: whoever is free reads and counts the next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.app.progress import Progress, compiling
from mpiapps.base.errors import InputError, naming
from mpiapps.base.named import needed
from mpiapps.comm.work import deal
from mpiapps.kernels.jit import is_cached
from mpiapps.kernels.tips import KERNELS, tally
from mpiapps.taxi.answer import COLUMNS, Part

if TYPE_CHECKING:
    from mpiapps.comm.world import World

NONE = np.empty(0)
Trips = tuple[np.ndarray, np.ndarray, np.ndarray]  # tips, fares, how they were paid


def by_ranks(world: World, names: list[str], edges: np.ndarray) -> list[Part]:
    """Return the parts of all row groups; on the root. Collective.

    Cost: 8 bytes a row group, and a gather of the counts. Each rank reads three
    columns of the groups that it counts, and nothing else.
    """
    cold = any(not is_cached(each) for each in KERNELS)
    with compiling(world, cold):
        count((0, 0), (NONE, NONE, NONE), edges)
    groups = None
    with world.timed("plan"), world.agree():
        needed("pyarrow.parquet", "files", "reading Parquet")  # all load it at once
        if world.is_root:
            groups = [(f, g) for f, name in enumerate(names) for g in groups_of(name)]
    groups = world.comm.bcast(groups)
    parts = []
    reader = Reader(names)
    with (
        world.timed("kernel"),
        Progress(
            world, max(1, len(groups) / world.size), "the groups", own=True
        ) as progress,
    ):
        for n in deal(world.comm, len(groups), "dynamic"):
            parts.append(count(groups[n], reader.read(*groups[n]), edges))
            progress.add(1)
    gathered = world.comm.gather(parts)
    return [part for each in gathered or () for part in each]


def count(place: tuple[int, int], trips: Trips, edges: np.ndarray) -> Part:
    """Return what the trips of a row group say. Local."""
    counts = np.zeros(len(edges) - 1, np.int64)
    number, total = tally(*trips, edges, counts)
    return Part(*place, int(number), float(total), counts)


class Reader:
    """Reads row groups, and keeps the last file open. Local."""

    def __init__(self, names: list[str]) -> None:
        self._names, self._file = names, -1
        self._open: Any = None

    def read(self, file: int, group: int) -> Trips:
        """Return tips, fares and how they were paid, each float64."""
        if file != self._file:
            self._open, self._file = _opened(self._names[file]), file
        with naming(self._names[file], "read"):
            table = self._open.read_row_group(group, columns=COLUMNS, use_threads=False)
        tips, fares, paid = (numbers(table.column(name)) for name in COLUMNS)
        return tips, fares, paid


def groups_of(name: str) -> range:
    """Return the row groups of a file that has the columns. Local.

    Raises
    ------
    InputError
        If it is no such file.
    ReadWriteError
        If it cannot be read.
    """
    found = _opened(name)
    missing = set(COLUMNS) - set(found.schema_arrow.names)
    if missing:
        raise InputError(
            f"{name} has no {', '.join(sorted(missing))}: it is no file of trips"
        )
    empty = found.schema_arrow.empty_table()
    for column in COLUMNS:
        try:
            numbers(empty.column(column))
        except ValueError as error:
            raise InputError(f"{name}: {column}: {error}") from error
    return range(found.num_row_groups)


def _opened(name: str) -> Any:
    from pyarrow import ArrowInvalid, parquet

    with naming(name, "read"):
        Path(name).stat()  # Arrow's own error tells the name alone
        try:
            # Three columns, as they lie: threads that read ahead cost more than that.
            return parquet.ParquetFile(name, pre_buffer=False)
        except ArrowInvalid as error:
            raise InputError(f"cannot read {name}: {error}") from error
