"""The same question put to dask.dataframe, on workers of the ranks."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from mpiapps.kernels.tips import BY_CARD
from mpiapps.taxi.answer import COLUMNS, Part

if TYPE_CHECKING:
    from mpiapps.comm.world import World


def by_dask(world: World, names: list[str], edges: np.ndarray) -> list[Part]:
    """Return a part for each partition, a row group; on the root. Collective."""
    import dask.dataframe as dd

    from mpiapps.dasking.ranks import Cluster
    from mpiapps.dasking.setup import Setup
    from mpiapps.taxi.groups import groups_of  # it loads MPI, which workers do not

    places: list[tuple[int, int]] = []
    with world.timed("plan"), world.agree():
        if world.is_root:
            places = [(f, g) for f, name in enumerate(names) for g in groups_of(name)]
    parts: list[Part] = []
    with world.timed("start"):
        cluster = Cluster(world.comm, Setup(deadline=False))
        if cluster.client is not None:
            for module in (__name__, "dask.dataframe", "pyarrow.parquet"):
                cluster.client.run(importlib.import_module, module)
    with cluster, world.timed("kernel"):
        if cluster.client is None:
            return parts
        if not places:  # no file has a row
            return parts
        empty = pd.DataFrame({name: [0.0] for name in COLUMNS})
        # One collection for all files: one for each costs more than to read them.
        trips = dd.from_map(read_group, [(names[f], g) for f, g in places], meta=empty)
        found = trips.map_partitions(summary, edges, meta=summary(empty, edges))
        rows = found.compute().itertuples(index=False)
        for (file, group), (number, total, *counts) in zip(places, rows, strict=True):
            counted = np.array(counts, np.int64)
            parts.append(Part(file, group, int(number), float(total), counted))
    return parts


def read_group(place: tuple[str, int]) -> pd.DataFrame:
    """Return the columns of a file's row group. On a worker."""
    from pyarrow import parquet

    name, group = place
    with parquet.ParquetFile(name) as file:
        table = file.read_row_group(group, columns=list(COLUMNS), use_threads=False)
    return pd.DataFrame({name: table.column(name).to_pandas() for name in COLUMNS})


def summary(trips: pd.DataFrame, edges: np.ndarray) -> pd.DataFrame:
    """Return a row: trips, the sum of their percents, and the counts. On a worker."""
    trips = trips.astype(np.float64)  # as the kernel has them, whatever the file
    by_card = trips[(trips.payment_type == BY_CARD) & (trips.fare_amount > 0)]
    percent = 100.0 * by_card.tip_amount / by_card.fare_amount
    percent = percent[np.isfinite(percent)]
    counts, _ = np.histogram(percent, bins=len(edges) - 1, range=(edges[0], edges[-1]))
    row = [float(len(percent)), percent.sum(), *map(float, counts)]
    return pd.DataFrame([row], columns=["trips", "total", *map(str, edges[:-1])])
