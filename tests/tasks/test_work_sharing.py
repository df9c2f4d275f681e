"""Each task is executed once, whichever ranks stop, on any number of ranks."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.launch.mpi import MPI
from mpiapps.tasks.task_counter import HostCounter
from mpiapps.tasks.work_sharing import distribute_until_stop, remaining

SIZES = st.integers(1, 6)


@st.composite
def work(draw):
    """Draw ranges as stops leave them, the shares of ranks, and their progress."""
    ranges, begin = [], 0
    for _ in range(draw(st.integers(0, 4))):
        step = draw(st.integers(1, 5))
        length = draw(st.integers(0, 20))
        ranges.append(range(begin, begin + length * step, step))
        begin += max(1, length * step)
    size = draw(SIZES)
    shares = [
        [n for tasks in ranges for n in tasks[rank::size]] for rank in range(size)
    ]
    done = [draw(st.integers(0, len(share))) for share in shares]
    return ranges, shares, done


@given(work())
def test_static_schedule_leaves_the_tasks_not_done(drawn):
    ranges, shares, done = drawn
    rest = [n for tasks in remaining(ranges, done, "static") for n in tasks]
    undone = [n for share, k in zip(shares, done, strict=True) for n in share[k:]]
    assert sorted(rest) == sorted(undone)


@given(work(), st.data())
def test_dynamic_schedule_leaves_the_last_tasks(drawn, data):
    ranges, _, done = drawn
    numbers = list(itertools.chain(*ranges))
    total = data.draw(st.integers(0, len(numbers)))
    counts = [total, *[0] * (len(done) - 1)]
    rest = list(itertools.chain(*remaining(ranges, counts, "dynamic")))
    assert rest == numbers[total:]


@given(st.integers(0, 10**12), st.lists(SIZES, min_size=1, max_size=12), st.data())
def test_the_list_of_ranges_stays_short_after_many_stops(n, sizes, data):
    ranges = [range(n)]
    for size in sizes:
        lengths = [sum(len(tasks[r::size]) for tasks in ranges) for r in range(size)]
        done = [data.draw(st.integers(0, min(n, 3))) for n in lengths]
        ranges = remaining(ranges, done, "static")
    assert len(ranges) <= 1 + sum(sizes) * len(sizes)


@pytest.mark.mpi
def test_a_rank_that_stops_ends_the_distribution_on_all(comm):
    n, done = 10**6, []
    with distribute_until_stop(comm, n) as numbers:
        for number in numbers:
            done.append(number)
            if comm.rank == comm.size - 1 and len(done) == 3:
                break
            time.sleep(0.0001)
    all_done = list(itertools.chain(*comm.allgather(done)))
    assert len(set(all_done)) == len(all_done) < n // 10
    with distribute_until_stop(comm, comm.size + 1) as numbers:
        done = list(numbers)
    assert sorted(itertools.chain(*comm.allgather(done))) == [*range(comm.size + 1)]


@pytest.mark.mpi
def test_hosts_take_numbers_for_their_ranks(comm):
    host = comm.Split_type(MPI.COMM_TYPE_SHARED)  # MPICH may have hosts of one rank
    node = host.Split(host.rank // 2)
    for n in {0, 1, comm.size - 1, comm.size, comm.size + 1, 20 * comm.size}:
        counter, own = HostCounter(comm, n, node), []
        while (number := counter.next()) < n:
            own.append(number)
            time.sleep(0.0002)
        assert sorted(itertools.chain(*comm.allgather(own))) == [*range(n)]
        of_node = sorted(itertools.chain(*node.allgather(own)))
        if node.size == 2 and n == 20 * comm.size and comm.size % 2 == 0:
            pairs = zip(of_node[::2], of_node[1::2], strict=True)
            assert {(a % 2, b - a) for a, b in pairs} <= {(0, 1)}
        counter.free()
    node.Free()
    host.Free()


@pytest.mark.mpi
def test_a_stop_reaches_other_hosts(comm):
    node, n, own = comm.Split(comm.rank), 10**6, 0
    counter = HostCounter(comm, n, node)
    comm.Barrier()
    if comm.rank == comm.size - 1:
        counter.stop()
    while counter.next() < n:
        own += 1
        time.sleep(0.0001)
    assert sum(comm.allgather(own)) < n // 10
    counter.free()
    node.Free()
