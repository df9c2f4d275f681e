"""The program of known scaling."""

import math

import pytest

from mpiapps.amdahl import (
    MAX_VIRTUAL,
    Options,
    check,
    communication_seconds,
    parallel_seconds,
    run,
    virtual_seconds,
)
from mpiapps.app.context import RunContext


def test_virtual_time_is_amdahls_law():
    options = Options(work=10, serial=0.1)
    assert virtual_seconds(options, 1) == 10
    assert virtual_seconds(options, 9) == pytest.approx(2)
    assert virtual_seconds(options, MAX_VIRTUAL) == pytest.approx(1.0009)


@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
def test_the_shares_of_the_ranks_sum_to_the_work(ranks):
    options = Options(work=10, serial=0.2, imbalance=0.5)
    shares = [parallel_seconds(options, rank, ranks) for rank in range(ranks)]
    assert sum(shares) == pytest.approx(8)
    if ranks > 1:
        assert max(shares) == pytest.approx(1.5 * 8 / ranks)


def test_scaled_work_stays_the_same_per_rank():
    options = Options(work=10, serial=0.2, scaled=True)
    assert virtual_seconds(options, 1) == virtual_seconds(options, 1000)


def test_communication():
    options = Options(latency=0.5, exchange=0.25)
    assert communication_seconds(options, 1) == 0
    assert communication_seconds(options, 8) == pytest.approx(1.5 + 1.75)


def test_noise_is_a_function_of_seed_ranks_and_run():
    options = Options(work=10, noise=0.1, seed=3)
    times = [virtual_seconds(options, 4, k) for k in range(200)]
    assert times == [virtual_seconds(options, 4, k) for k in range(200)]
    logs = [math.log(t / virtual_seconds(Options(work=10), 4)) for t in times]
    assert sum(x * x for x in logs) / 200 == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize(
    "values",
    [{"serial": 1.1}, {"work": -1.0}, {"work": math.nan}, {"latency": math.inf},
     {"noise": 0.1}],
)  # fmt: skip
def test_impossible_times_are_errors(values):
    with pytest.raises(ValueError, match="--"):
        check(Options(**values))


@pytest.mark.mpi
def test_ranks_wait_as_long_as_the_model_says(world):
    options = Options(work=0.2, serial=0.5, imbalance=0.5, exchange=0.01)
    ctx = RunContext.make(world)
    with world.timed("total"):
        result = run(ctx, options)
    seconds = virtual_seconds(options, world.size)
    assert result.values["model_seconds"] == seconds
    # Sleeping never takes less; how much more is up to the host. A rank that the host
    # starts late waits less for the others.
    longest = max(world.comm.allgather(world.timers.seconds["total"]))
    assert longest >= 0.999 * seconds
    own = parallel_seconds(options, world.rank, world.size) + 0.1 * world.is_root
    assert world.timers.seconds["kernel"] >= 0.999 * own


@pytest.mark.mpi
def test_virtual_time_does_not_wait(world):
    result = run(RunContext.make(world), Options(work=1e6, virtual=1024))
    assert result.values["virtual_seconds"] == virtual_seconds(Options(work=1e6), 1024)
