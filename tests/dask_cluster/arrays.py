"""Statistics of an array larger than a worker's memory, on Dask and on ranks."""

import json
import sys

import dask.array as da
import numpy as np

from mpiapps.comm import open_world
from mpiapps.dask import dask_on_ranks
from mpiapps.dask_cluster.arrays import from_npy


def on_dask(path):
    x = from_npy(path, (20_000, -1))
    singular = da.linalg.svd(x)[1]
    results = da.compute(x.mean(), x.std(), x.mean(axis=0), x.std(axis=0), singular)
    return [np.atleast_1d(result).tolist() for result in results]


def on_ranks(world, path):
    from mpiapps.linalg.files import read
    from mpiapps.linalg.moments import mean, std
    from mpiapps.linalg.svd import singular_values

    a = read(world.comm, path)
    results = mean(a), std(a), mean(a, 0), std(a, 0), singular_values(a)
    return [np.atleast_1d(result).tolist() for result in results]


if __name__ == "__main__":
    path, memory = sys.argv[1], int(sys.argv[2])
    with open_world() as world:
        with dask_on_ranks(world.comm, memory=memory) as client:
            dask = on_dask(path) if client is not None else None
        ranks = on_ranks(world, path)
        if world.is_root:
            print(json.dumps([dask, ranks]))
