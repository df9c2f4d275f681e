"""Counts of tips by dask.dataframe, on Dask workers of the ranks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mpiapps.kernels.tips import BY_CARD
from mpiapps.taxi_tips.datasets import Dataset, read_datasets
from mpiapps.taxi_tips.reader import TripsFile, row_groups
from mpiapps.taxi_tips.summary import COLUMNS, GroupCounts

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext


def count_by_dask(
    ctx: RunContext, names: list[str], edges: np.ndarray, dataset: str
) -> list[GroupCounts]:
    """Return the counts of each row group, on the root. Collective."""
    import dask.dataframe as dd

    from mpiapps.dask_cluster.cluster import Cluster
    from mpiapps.dask_cluster.cluster_options import ClusterOptions

    world = ctx.world
    groups: list[tuple[int, int]] = []
    with world.timed("plan"), world.agree():
        datasets = read_datasets(dataset)
        if world.is_root:
            groups = row_groups(names, datasets)
    parts: list[GroupCounts] = []
    with world.timed("start"):
        cluster = Cluster(world.comm, ClusterOptions(deadline=False))
        if cluster.client is not None:
            for module in (__name__, "dask.dataframe", "pyarrow.parquet"):
                cluster.client.run(importlib.import_module, module)
    with cluster, world.timed("kernel"):
        if cluster.client is None:
            return parts
        if not groups:  # all files are empty
            return parts
        empty = pd.DataFrame({name: [0.0] for name in COLUMNS})
        # One collection for all files: the overhead of one for each exceeds the reads.
        paths = [(names[f], g) for f, g in groups]
        trips = dd.from_map(read_group, paths, datasets=datasets, meta=empty)
        meta = count_partition(empty, edges)
        rows = trips.map_partitions(count_partition, edges, meta=meta).compute()
        for (file, group), (count, total, *counts) in zip(
            groups, rows.itertuples(index=False), strict=True
        ):
            bins = np.array(counts, np.int64)
            parts.append(GroupCounts(file, group, int(count), float(total), bins))
    return parts


def read_group(
    name_and_group: tuple[str, int], datasets: tuple[Dataset, ...]
) -> pd.DataFrame:
    """Return `COLUMNS` of a row group; runs on a worker."""
    name, group = name_and_group
    arrays = TripsFile(name, datasets).read(group)
    return pd.DataFrame(dict(zip(COLUMNS, arrays, strict=True)))


def count_partition(trips: pd.DataFrame, edges: np.ndarray) -> pd.DataFrame:
    """Return a row: trips, sum of their percentages, counts; runs on a worker."""
    trips = trips.astype(np.float64)  # as in the kernel, for any type in the file
    by_card = trips[(trips.payment_type == BY_CARD) & (trips.fare_amount > 0)]
    percent = 100.0 * by_card.tip_amount / by_card.fare_amount
    percent = percent[np.isfinite(percent)]
    counts, _ = np.histogram(percent, bins=len(edges) - 1, range=(edges[0], edges[-1]))
    row = [float(len(percent)), percent.sum(), *map(float, counts)]
    return pd.DataFrame([row], columns=["trips", "total", *map(str, edges[:-1])])
