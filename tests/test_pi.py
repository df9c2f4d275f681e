"""pi as a library: the same bits on any number of ranks."""

import math

import pytest
from mpi4py import MPI

from mpiapps.app.context import RunContext
from mpiapps.comm.world import World
from mpiapps.kernels.pi import count_darts, count_strata
from mpiapps.pi import Options, run

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_hits_do_not_depend_on_ranks_or_schedule(world, schedule):
    for n in (1, world.size - 1, world.size, world.size + 1, 1_234_567):
        if n == 0:
            continue
        result = run(RunContext.make(world), Options(n, seed=5, schedule=schedule))
        assert result.values["hits"] == count_darts(5, 0, 0, n, False)
        assert result.values["samples"] == n


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
@pytest.mark.parametrize("samples", [512, 513, 10**6, 10**10])
def test_strata_do_not_depend_on_ranks_or_schedule(world, schedule, samples):
    result = run(RunContext.make(world), Options(samples, 5, "strata", schedule))
    side = math.isqrt(samples // 2)
    hits, split = count_strata(5, 1, 0, side, side)
    assert result.values["hits"] == hits
    assert result.values["samples"] == 2 * side**2
    assert result.values["stderr"] == 2 * math.sqrt(split) / side**2
    assert bool(result.notes) == (2 * side**2 != samples)


@pytest.mark.parametrize("method", ["darts", "strata"])
def test_the_estimate_is_pi_within_its_error(world, method):
    values = run(RunContext.make(world), Options(10**7, 1, method)).values
    assert abs(values["pi"] - math.pi) < 4 * values["stderr"]
    low, high = values["interval"]
    assert low < values["pi"] < high
    assert values["bias"] < values["stderr"] / 10


def test_the_root_has_every_ranks_report(world):
    result = run(RunContext.make(world), Options(10**6, schedule="static"))
    if not world.is_root:
        assert result.ranks == []
        return
    assert [row["rank"] for row in result.ranks] == list(range(world.size))
    assert sum(row["hits"] for row in result.ranks) == result.values["hits"]
    shares = [row["darts"] for row in result.ranks]
    assert sum(shares) == 10**6
    assert max(shares) - min(shares) <= 10**6 // (64 * world.size) + 1


def test_a_world_of_one_is_the_serial_program():
    with World(MPI.COMM_SELF) as alone:
        result = run(RunContext.make(alone), Options(1000, 2))
    assert result.values["hits"] == count_darts(2, 0, 0, 1000, False)
    assert len(result.ranks) == 1


def test_seeds_give_different_hits(world):
    hits = {
        run(RunContext.make(world), Options(10**6, seed)).values["hits"]
        for seed in range(4)
    }
    assert len(hits) == 4
