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
    from dask.base import compute

    from mpiapps.dasking.ranks import Cluster
    from mpiapps.dasking.setup import Setup
    from mpiapps.taxi.groups import groups_of  # it loads MPI, which workers do not

    with world.timed("plan"), world.agree():
        for name in names if world.is_root else ():
            groups_of(name)
    parts: list[Part] = []
    with world.timed("start"):
        cluster = Cluster(world.comm, Setup(deadline=False))
        if cluster.client is not None:
            for module in (__name__, "dask.dataframe", "pyarrow.parquet"):
                cluster.client.run(importlib.import_module, module)
    with cluster, world.timed("kernel"):
        if cluster.client is None:
            return parts
        meta = summary(pd.DataFrame({name: [0.0] for name in COLUMNS}), edges)
        asked = [
            dd.read_parquet(name, columns=list(COLUMNS), split_row_groups=True)
            .map_partitions(summary, edges, meta=meta)
            for name in names
        ]  # fmt: skip
        for file, rows in enumerate(compute(*asked)):
            for group, row in enumerate(rows.itertuples(index=False)):
                trips, total, *counts = row
                counted = np.array(counts, np.int64)
                parts.append(Part(file, group, int(trips), float(total), counted))
    return parts


def summary(trips: pd.DataFrame, edges: np.ndarray) -> pd.DataFrame:
    """Return a row: trips, the sum of their percents, and the counts. On a worker."""
    trips = trips.astype(np.float64)  # as the kernel has them, whatever the file
    by_card = trips[
        (trips.payment_type == BY_CARD)
        & (trips.fare_amount > 0)
        & trips.tip_amount.notna()
    ]
    percent = 100.0 * by_card.tip_amount / by_card.fare_amount
    counts, _ = np.histogram(percent, bins=len(edges) - 1, range=(edges[0], edges[-1]))
    row = [float(len(percent)), percent.sum(), *map(float, counts)]
    return pd.DataFrame([row], columns=["trips", "total", *map(str, edges[:-1])])
