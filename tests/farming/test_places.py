"""Processors of hosts: none is given twice, and no task waits for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.farming.places import Places


def always(_):
    return True


def drain(places):
    found = []
    while (each := places.next(always)) is not None:
        found.append(each)
    return found


def test_tasks_of_one_width_go_in_their_order_to_the_freest_host():
    places = Places([2, 3])
    for name in "abcdef":
        places.wait(name, 1)
    assert drain(places) == [("a", 1), ("b", 0), ("c", 1), ("d", 0), ("e", 1)]
    places.release(0, 1)
    assert drain(places) == [("f", 0)]


def test_a_wide_task_goes_first_and_is_kept_a_host():
    places = Places([4, 4])
    for name in "ab":
        places.wait(name, 1)
    places.wait("wide", 4)
    places.wait("wider", 3)
    assert drain(places) == [("wide", 0), ("wider", 1), ("a", 1)]
    places = Places([4])
    places.wait("a", 2)
    assert drain(places) == [("a", 0)]
    places.wait("wide", 4)
    places.wait("b", 1)
    assert drain(places) == []  # b would keep it from beginning
    places.release(0, 2)
    assert drain(places) == [("wide", 0)]


def test_what_fits_nowhere_is_told():
    with pytest.raises(ValueError, match="needs 5 cores, and the largest host has 4"):
        Places([4, 2]).wait("a", 5)


def test_a_lost_host_is_used_no_more():
    places = Places([1, 1])
    places.wait("a", 1)
    places.lose(0)
    assert drain(places) == [("a", 1)]


@given(
    cores=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    widths=st.lists(st.integers(1, 5), max_size=30),
    data=st.data(),
)
def test_all_are_done_and_no_host_is_overfull(cores, widths, data):
    places = Places(cores)
    widths = [min(width, max(cores)) for width in widths]
    for n, width in enumerate(widths):
        places.wait(str(n), width)
    work, done = [], []
    while len(places) or work:
        work += drain(places)
        for host, n in enumerate(cores):
            assert sum(widths[int(name)] for name, at in work if at == host) <= n
        assert work, "something can always be done"
        name, host = work.pop(data.draw(st.integers(0, len(work) - 1)))
        places.release(host, widths[int(name)])
        done.append(name)
    assert sorted(map(int, done)) == list(range(len(widths)))
