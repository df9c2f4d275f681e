"""No task can lose another's result, end another, or leave the pool unusable."""

import asyncio
import concurrent.futures

import pytest

from mpiapps.comm.task import TaskError
from mpiapps.comm.tasks import Tasks
from mpiapps.comm.teams import Teams
from tests.comm import hostile_tasks as hostile
from tests.comm.hostile_tasks import BAD, FUNCTIONS, ITEMS, SENT, same

pytestmark = pytest.mark.mpi
ITEM = list(range(8))


def outcome(call):
    """Return what a call returns, or the class of what it raises."""
    try:
        return call()
    except BaseException as error:
        return type(error)


def outcomes(results, n):
    """Return as many outcomes of an iterator, errors at their places; then the end."""
    found = [outcome(lambda: next(results)) for _ in range(n)]
    assert outcome(lambda: next(results)) is StopIteration
    return found


def one(function, pair):
    """Call a function of one item, for `starmap`."""
    return function(pair)


def by_map(tasks, function, items, chunksize):
    found = outcome(lambda: tasks.map(function, items, chunksize))
    if not isinstance(found, type):
        return found
    return [found if n == BAD else n for n in range(len(items))]


def by_starmap(tasks, function, items, chunksize):
    pairs = [(function, item) for item in items]
    found = outcome(lambda: tasks.starmap(one, pairs, chunksize))
    if not isinstance(found, type):
        return found
    return [found if n == BAD else n for n in range(len(items))]


def by_imap(tasks, function, items, chunksize):
    return outcomes(tasks.imap(function, items, chunksize), len(items))


def by_imap_unordered(tasks, function, items, chunksize):
    found = outcomes(tasks.imap_unordered(function, items, chunksize), len(items))
    good = sorted(each for each in found if isinstance(each, int) and each != BAD)
    bad = [each for each in found if not (isinstance(each, int) and each in good)]
    return [*good[:BAD], *bad, *good[BAD:]]


def by_submit(tasks, function, items, chunksize):
    del chunksize
    futures = [tasks.submit(function, item) for item in items]
    done, left = concurrent.futures.wait(futures, timeout=60)
    assert len(done) == len(items)
    assert not left
    return [outcome(future.result) for future in futures]


WAYS = [by_map, by_starmap, by_imap, by_imap_unordered, by_submit]


def cases(size):
    """Yield function, items, what task BAD comes to or None for anything."""
    for function, expected in FUNCTIONS.values():
        yield function, ITEM, expected
    for function, expected in SENT.values():
        yield function, ITEM, expected if size > 1 else None
    for item in ITEMS.values():
        bad = [item if n == BAD else n for n in ITEM]
        yield same, bad, TaskError if size > 1 else None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("chunksize", [1, 8])
def test_a_task_fails_alone(comm, way, chunksize):
    with Tasks(comm) as tasks:
        if tasks is not None:
            other = tasks.imap(same, range(30))
            assert next(other) == 0
            waits = tasks.submit(same, 1)
            for function, items, expected in cases(comm.size):
                found = way(tasks, function, items, chunksize)
                rest = [n for n in ITEM if n != BAD]
                assert [n for i, n in enumerate(found) if i != BAD] == rest, function
                if expected is not None:
                    assert found[BAD] == expected, (function, items, found)
            assert list(other) == list(range(1, 30))
            assert waits.result() == 1
            assert tasks.map(same, range(5)) == list(range(5))


def on_team(_comm, pair):
    function, item = pair
    return function(item)


def test_teams_survive_them(comm):
    with Teams(comm) as teams:
        if teams is not None:
            most = max(1, comm.size - 1)
            for function, items, expected in cases(comm.size):
                pairs = [(function, item) for item in items]
                found = outcome(lambda p=pairs: teams.map(on_team, p, most))
                if isinstance(expected, type):
                    assert found is expected, (function, items)
                elif expected is not None:
                    assert found == ITEM
            assert teams.map(on_team, [(same, 7)], most) == [7]


def test_functions_that_have_no_name(comm):
    def nested(x):
        return x

    with Tasks(comm) as tasks:
        if tasks is not None and comm.size > 1:
            for function in (nested, lambda x: x):
                with pytest.raises(TaskError, match="top level of a module"):
                    tasks.map(function, [1])
                with pytest.raises(TaskError, match="top level of a module"):
                    tasks.imap(function, [1])
                future = tasks.submit(function, 1)
                with pytest.raises(TaskError, match="top level of a module"):
                    future.result(30)
    with Teams(comm) as teams:
        if teams is not None and comm.size > 1:
            with pytest.raises(TaskError, match="top level of a module"):
                teams.map(nested, [1], 1)


class Items:
    """Items whose length is a lie, or cannot be taken, and that raise at the end."""

    def __init__(self, n, error, size=None):
        self.n, self.error, self.size = n, error, size

    def __len__(self):
        if self.size is None:
            raise TypeError("no len()")
        return self.size

    def __iter__(self):
        yield from range(self.n)
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("chunksize", [1, 3, 100])
@pytest.mark.parametrize("error", [None, OSError("x"), SystemExit(3)])
@pytest.mark.parametrize("size", [None, 0, 1000])
def test_errors_of_items_come_after_the_results_before_them(
    comm, chunksize, error, size
):
    with Tasks(comm) as tasks:
        if tasks is not None:
            for call in (tasks.imap, tasks.imap_unordered):
                results = call(same, Items(10, error, size), chunksize)
                found = sorted(next(results) for _ in range(10))
                assert found == list(range(10))
                if error is not None:
                    assert outcome(lambda r=results: next(r)) is type(error)
                assert outcome(lambda r=results: next(r)) is StopIteration


@pytest.mark.parametrize("size", [2.0, "2", None.__class__, [1]])
def test_chunk_sizes_are_whole_numbers(comm, size):
    with Tasks(comm) as tasks:
        if tasks is not None:
            for call in (tasks.map, tasks.imap, tasks.imap_unordered):
                with pytest.raises(ValueError, match="must be 1 or more"):
                    call(same, [1], size)


def test_results_are_not_taken_after_the_block(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            results = tasks.imap(same, range(1000))
            assert next(results) == 0
            left = tasks
    if comm.rank == 0:
        for call in (
            lambda: list(results),
            lambda: left.map(same, [1]),
            lambda: left.submit(same, 1),
        ):
            with pytest.raises(RuntimeError, match="block of these tasks was left"):
                call()


def later(x):
    hostile.time.sleep(x)
    return x


def test_futures_are_those_of_the_library(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            futures = [tasks.submit(same, x) for x in range(20)]
            done = concurrent.futures.as_completed(futures, timeout=60)
            assert sorted(each.result() for each in done) == list(range(20))

            async def wrapped():
                many = [asyncio.wrap_future(tasks.submit(same, x)) for x in range(9)]
                return await asyncio.gather(*many)

            assert asyncio.run(wrapped()) == list(range(9))
            seen = []
            future = tasks.submit(same, 4)
            future.add_done_callback(lambda _: seen.append(tasks.submit(same, 5)))
            if comm.size > 1:  # alone it is done, and callbacks run here
                future.add_done_callback(lambda _: hostile.exits())
            concurrent.futures.wait([future])
            assert tasks.submit(same, 6).result(60) == 6
            assert seen[0].result(60) == 5


def test_what_is_not_begun_can_be_cancelled(comm):
    workers = max(1, comm.size - 1)
    with Tasks(comm) as tasks:
        if tasks is not None and comm.size > 1:
            slow = [tasks.submit(later, 0.4) for _ in range(workers)]
            with pytest.raises(concurrent.futures.TimeoutError):
                slow[0].result(timeout=0.01)
            waiting = [tasks.submit(later, 0.4) for _ in range(50)]
            cancelled = [each.cancel() for each in waiting]
            assert all(cancelled)
            assert concurrent.futures.wait(waiting, timeout=60).not_done == set()
    if comm.rank == 0 and comm.size > 1:
        assert [each.result() for each in slow] == [0.4] * workers
        assert all(each.cancelled() for each in waiting)


def test_many_submissions_are_linear(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            futures = [tasks.submit(same, x) for x in range(20_000)]
            assert [each.result() for each in futures] == list(range(20_000))


def slept(x):
    hostile.time.sleep(x)
    return hostile.os.getpid()


@pytest.mark.parametrize("chunksize", [1, 64])
def test_nobody_idles_while_another_has_tasks_that_are_not_begun(comm, chunksize):
    seconds = [0.0] * 40 + [0.5] + [0.001] * 23  # a long one, many behind it
    with Tasks(comm) as tasks:
        if tasks is not None:
            pids = tasks.map(slept, seconds, chunksize)
            long = pids[40]
            if comm.size > 2:  # what waited behind it was done by others
                assert [pid for pid in pids[41:] if pid != long]
                assert sum(pid == long for pid in pids[41:]) <= 12
