"""After a pool, large arrays that are freed are returned to the system."""

import sys

import pytest

from tests.commands import on_ranks

SCRIPT = """
import numpy as np
from mpiapps.comm import open_world
from mpiapps.tasks.mpi_pool import MPIPool

def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

with open_world() as world:
    with MPIPool(world.comm) as pool:
        if pool is not None:
            pool.map(abs, range(4))
    before = rss()
    # Each is above `heap.MAX_BLOCK_BYTES`.
    arrays = [np.ones(40 * 10**6, np.uint8) for _ in range(5)]
    del arrays[:-1]
    assert rss() - before < 60 * 10**6, rss() - before
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_freed_after_a_pool_is_returned():
    ended = on_ranks("mpich", 2, "-c", SCRIPT)
    assert ended.code == 0, ended.err
