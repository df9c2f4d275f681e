"""Dealing work: each piece once, whoever stops when, on any number of ranks."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.comm.work import dealing, left

SIZES = st.integers(1, 6)


@st.composite
def work(draw):
    """Draw lanes as stops leave them, a number of ranks, and what each has done."""
    lanes, begin = [], 0
    for _ in range(draw(st.integers(0, 4))):
        step = draw(st.integers(1, 5))
        length = draw(st.integers(0, 20))
        lanes.append(range(begin, begin + length * step, step))
        begin += max(1, length * step)
    size = draw(SIZES)
    shares = [[p for lane in lanes for p in lane[rank::size]] for rank in range(size)]
    done = [draw(st.integers(0, len(share))) for share in shares]
    return lanes, shares, done


@given(work())
def test_static_shares_leave_just_what_is_not_done(drawn):
    lanes, shares, done = drawn
    rest = [piece for lane in left(lanes, done, "static") for piece in lane]
    undone = [p for share, n in zip(shares, done, strict=True) for p in share[n:]]
    assert sorted(rest) == sorted(undone)


@given(work(), st.data())
def test_a_counter_leaves_the_tail(drawn, data):
    lanes, _, done = drawn
    pieces = [piece for lane in lanes for piece in lane]
    total = data.draw(st.integers(0, len(pieces)))
    counts = [total, *[0] * (len(done) - 1)]
    rest = [piece for lane in left(lanes, counts, "dynamic") for piece in lane]
    assert rest == pieces[total:]


@given(st.integers(0, 10**12), st.lists(SIZES, min_size=1, max_size=12), st.data())
def test_the_list_stays_short_however_often_a_run_stops(n, sizes, data):
    lanes = [range(n)]
    for size in sizes:
        most = max(
            (len(lane[rank::size]) for lane in lanes for rank in range(size)), default=0
        )
        done = [data.draw(st.integers(0, min(most, 3))) for _ in range(size)]
        done = [
            min(d, sum(len(lane[r::size]) for lane in lanes))
            for r, d in enumerate(done)
        ]
        lanes = left(lanes, done, "static")
    assert len(lanes) <= 1 + sum(sizes) * len(sizes)


@pytest.mark.mpi
def test_a_rank_that_stops_ends_the_dealing_for_all(comm):
    n, taken = 10**6, []
    with dealing(comm, n) as mine:
        for i in mine:
            taken.append(i)
            if comm.rank == comm.size - 1 and len(taken) == 3:
                break
            time.sleep(0.0001)
    every = [i for each in comm.allgather(taken) for i in each]
    assert len(set(every)) == len(every) < n // 10
    with dealing(comm, comm.size + 1) as mine:
        again = list(mine)
    assert sorted(i for each in comm.allgather(again) for i in each) == [
        *range(comm.size + 1)
    ]
