"""Counts of tips by polars, each rank on its share of the files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from mpiapps.base.launch_environment import ranks_on_host
from mpiapps.base.optional import import_optional
from mpiapps.taxi_tips.datasets import Columns, read_datasets
from mpiapps.taxi_tips.reader import TripsFile
from mpiapps.taxi_tips.summary import GroupCounts

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext

THREADS = "POLARS_MAX_THREADS"


def count_by_polars(
    ctx: RunContext, names: list[str], edges: np.ndarray, dataset: str
) -> list[GroupCounts]:
    """Return the counts of each file, on the root. Collective.

    Cost: a gather of the counts. A file is read by one rank, with all its threads.
    """
    world = ctx.world
    processors = len(os.sched_getaffinity(0)) // ranks_on_host(os.environ)
    os.environ.setdefault(THREADS, str(max(1, processors)))  # read by the import
    parts: list[GroupCounts] = []
    with world.agree():
        import_optional("pyarrow.parquet", "files", "reading Parquet")
        pl = import_optional("polars", "polars", "--engine polars")
        datasets = read_datasets(dataset)
        own = range(world.rank, len(names), world.size)
        columns = {n: TripsFile(names[n], datasets).columns for n in own}
    with world.timed("kernel"), world.agree():
        queries = [_query(pl, names[n], columns[n], edges) for n in own]
        tables = pl.collect_all(queries, engine="streaming")
        for number, table in zip(own, tables, strict=True):
            parts.append(_counts(number, table, len(edges) - 1))
    gathered = world.comm.gather(parts)
    return [part for share in gathered or () for part in share]


def _query(pl: Any, name: str, columns: Columns, edges: np.ndarray) -> Any:
    """Return a lazy frame: interval from 1, number and sum of the percentages."""
    trips = pl.scan_parquet(name, glob=False, hive_partitioning=False)
    if columns.payment:
        payment = pl.col(columns.payment)
        if trips.collect_schema()[columns.payment].is_numeric():
            codes = list(map(float, columns.codes))
            by_card = payment.cast(pl.Float64).is_in(codes)
        else:
            by_card = payment.cast(pl.String).is_in(columns.texts)
        trips = trips.filter(by_card)
    elif not columns.all_by_card:
        trips = trips.filter(pl.lit(False))
    tip = pl.col(columns.tip).cast(pl.Float64) * columns.tip_unit
    fare = pl.col(columns.fare).cast(pl.Float64) * columns.fare_unit
    percents = trips.filter(fare > 0).select(percent=100.0 * tip / fare)
    percent = pl.col("percent")
    interval = pl.lit(pl.Series(edges)).search_sorted(percent, side="right")
    # The last interval includes its right edge, as in numpy.histogram.
    interval = pl.when(percent == edges[-1]).then(len(edges) - 1).otherwise(interval)
    return (
        percents.filter(percent.is_finite())
        .with_columns(interval=interval)
        .group_by("interval")
        .agg(pl.len().alias("trips"), percent.sum().alias("total"))
    )


def _counts(number: int, table: Any, bins: int) -> GroupCounts:
    """Return the counts of a file; those outside the intervals are trips, too."""
    counts = np.zeros(bins + 2, np.int64)
    counts[table["interval"].to_numpy()] = table["trips"].to_numpy()
    total = float(table["total"].sum())
    return GroupCounts(number, 0, int(counts.sum()), total, counts[1:-1])
