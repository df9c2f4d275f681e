"""Cores of hosts are never assigned twice, and every task starts eventually."""

from hypothesis import given
from hypothesis import strategies as st

from mpiapps.taskfarm.slot_scheduler import SlotScheduler


def always(_):
    return True


def drain(scheduler):
    assignments = []
    while (assignment := scheduler.next(always)) is not None:
        assignments.append(assignment)
    return assignments


def test_tasks_of_equal_width_go_in_order_to_the_host_with_most_free_cores():
    scheduler = SlotScheduler([2, 3])
    for name in "abcdef":
        scheduler.enqueue(name, 1)
    assert drain(scheduler) == [("a", 1), ("b", 0), ("c", 1), ("d", 0), ("e", 1)]
    scheduler.release(0, 1)
    assert drain(scheduler) == [("f", 0)]


def test_wide_task_goes_first_and_a_host_is_reserved_for_it():
    scheduler = SlotScheduler([4, 4])
    for name in "ab":
        scheduler.enqueue(name, 1)
    scheduler.enqueue("wide", 4)
    scheduler.enqueue("wider", 3)
    assert drain(scheduler) == [("wide", 0), ("wider", 1), ("a", 1)]
    scheduler = SlotScheduler([4])
    scheduler.enqueue("a", 2)
    assert drain(scheduler) == [("a", 0)]
    scheduler.enqueue("wide", 4)
    scheduler.enqueue("b", 1)
    assert drain(scheduler) == []  # b would delay it
    scheduler.release(0, 2)
    assert drain(scheduler) == [("wide", 0)]


def test_task_that_fits_no_host_is_dropped():
    scheduler = SlotScheduler([4, 2])
    scheduler.enqueue("a", 5)
    assert drain(scheduler) == []


def test_removed_host_gets_no_tasks():
    scheduler = SlotScheduler([1, 1])
    scheduler.enqueue("a", 1)
    scheduler.remove_host(0)
    assert drain(scheduler) == [("a", 1)]


@given(
    cores=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    widths=st.lists(st.integers(1, 5), max_size=30),
    data=st.data(),
)
def test_all_tasks_run_and_no_host_is_oversubscribed(cores, widths, data):
    scheduler = SlotScheduler(cores)
    widths = [min(width, max(cores)) for width in widths]
    for n, width in enumerate(widths):
        scheduler.enqueue(str(n), width)
    work, done = [], []
    while len(scheduler) or work:
        work += drain(scheduler)
        for host, n in enumerate(cores):
            assert sum(widths[int(name)] for name, at in work if at == host) <= n
        assert work, "a task can always start"
        name, host = work.pop(data.draw(st.integers(0, len(work) - 1)))
        scheduler.release(host, widths[int(name)])
        done.append(name)
    assert sorted(map(int, done)) == list(range(len(widths)))
