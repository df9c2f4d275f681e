"""Mean, histogram and quantiles: their messages, and errors on all ranks."""

import math
from fractions import Fraction

import numpy as np
import pytest

from mpiapps.comm.consistency import DisagreementError
from mpiapps.comm.exact_sums import exact_sum
from mpiapps.comm.statistics import METHODS, histogram, mean, quantiles
from mpiapps.comm.world import World

pytestmark = pytest.mark.mpi


def test_blocks_of_any_shape_and_memory_order(comm):
    whole = np.random.default_rng(1).normal(size=(comm.size, 4, 6))
    q = [0, 0.1, 1 / 3, 0.5, 1]
    for block in (whole[comm.rank].T, whole[comm.rank][::-1, ::-1]):
        assert quantiles(comm, block, q).tolist() == np.quantile(whole, q).tolist()
        assert mean(comm, block) == float(sum(map(Fraction, whole.flat)) / whole.size)
        assert exact_sum(comm, block) == math.fsum(whole.flat)
        counts, _ = histogram(comm, block, 5)
        assert counts.tolist() == np.histogram(whole, 5)[0].tolist()
    assert quantiles(comm, np.array(comm.rank), 1.0) == comm.size - 1  # 0-D


CALLS = [
    mean,
    exact_sum,
    lambda comm, block: histogram(comm, block, 3),
    lambda comm, block: quantiles(comm, block, 0.5),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "block",
    [[1, 2], np.ones(2, complex), np.ones(2, "M8[s]"), np.ones(2, np.longdouble),
     np.array(["a"]), np.array([None])],
    ids=lambda block: str(getattr(block, "dtype", "list")),
)  # fmt: skip
def test_a_block_of_other_things_on_one_rank_raises_on_all(comm, call, block):
    own = block if comm.rank == comm.size - 1 else np.ones(2)
    refused = "expected bool, integers|array is a list|holds Python objects"
    with pytest.raises(TypeError, match=refused):
        call(comm, own)
    assert mean(comm, np.ones(2)) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda comm, k: mean(comm, np.ones(2, f"f{8 - 4 * k}")),
        lambda comm, k: exact_sum(comm, np.ones(2, f"f{8 - 4 * k}")),
        lambda comm, k: histogram(comm, np.ones(2, f"f{8 - 4 * k}"), 3),
        lambda comm, k: histogram(comm, np.ones(2), 3 + k),
        lambda comm, k: histogram(comm, np.ones(2), [1, 2 + k]),
        lambda comm, k: histogram(comm, np.ones(2), 3, (0, 1 + k)),
        lambda comm, k: quantiles(comm, np.ones(2, f"f{8 - 4 * k}"), 0.5),
        lambda comm, k: quantiles(comm, np.ones(2), [0.5, 0.1 * k]),
        lambda comm, k: quantiles(comm, np.ones(2), 0.5, METHODS[k]),
        lambda comm, k: quantiles(comm, np.ones(2), [0.5, np.array(0.5)][k]),
    ],
)
def test_different_arguments_raise_on_all_ranks(comm, call):
    if comm.size == 1:
        call(comm, 0)
        return
    with pytest.raises(DisagreementError, match="the ranks disagree"):
        call(comm, int(comm.rank == comm.size - 1))
    assert mean(comm, np.ones(2)) == 1


def test_arguments_of_longdouble_are_refused(comm):
    wide = np.array([0, 0.3, 1], np.longdouble)
    for call in histogram, quantiles:
        with pytest.raises(TypeError, match="expected at most float64"):
            call(comm, np.ones(2), wide)


def test_a_world_is_a_communicator(comm):
    world = World(comm)
    block = np.arange(3.0)
    assert mean(world, block) == 1
    assert quantiles(world, block, 0.5) == 1
    assert histogram(world, block, 2)[0].sum() == 3 * comm.size
