"""A task cannot lose another's result, end another, or make the pool unusable."""

import asyncio
import concurrent.futures
import sys
import threading

import numpy as np
import pytest

from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.task import TaskError
from mpiapps.tasks.teams import Teams
from tests.tasks import hostile_tasks as hostile
from tests.tasks.hostile_tasks import BAD, FUNCTIONS, ITEMS, SENT, identity

pytestmark = pytest.mark.mpi
NUMBERS = list(range(8))


def outcome(call):
    """Return the result of a call, or the class of its exception."""
    try:
        return call()
    except BaseException as error:
        return type(error)


def outcomes(results, n):
    """Return the `n` outcomes of an iterator."""
    listed = [outcome(lambda: next(results)) for _ in range(n)]
    assert outcome(lambda: next(results)) is StopIteration
    return listed


def call(function, item):
    """Call a function, for `starmap`."""
    return function(item)


def by_map(pool, function, items, chunksize):
    results = outcome(lambda: pool.map(function, items, chunksize))
    if not isinstance(results, type):
        return results
    return [results if n == BAD else n for n in range(len(items))]


def by_starmap(pool, function, items, chunksize):
    pairs = [(function, item) for item in items]
    results = outcome(lambda: pool.starmap(call, pairs, chunksize))
    if not isinstance(results, type):
        return results
    return [results if n == BAD else n for n in range(len(items))]


def by_imap(pool, function, items, chunksize):
    return outcomes(pool.imap(function, items, chunksize), len(items))


def by_imap_unordered(pool, function, items, chunksize):
    results = outcomes(pool.imap_unordered(function, items, chunksize), len(items))
    good = sorted(n for n in results if isinstance(n, int) and n != BAD)
    bad = [value for value in results if value not in good]
    return [*good[:BAD], *bad, *good[BAD:]]


def by_submit(pool, function, items, chunksize):
    del chunksize
    futures = [pool.submit(function, item) for item in items]
    done, not_done = concurrent.futures.wait(futures, timeout=60)
    assert len(done) == len(items)
    assert not not_done
    return [outcome(future.result) for future in futures]


METHODS = [by_map, by_starmap, by_imap, by_imap_unordered, by_submit]


def cases(size):
    """Yield function, items, and the expected outcome of task BAD; None: any."""
    for function, expected in FUNCTIONS.values():
        yield function, NUMBERS, expected
    for function, expected in SENT.values():
        yield function, NUMBERS, expected if size > 1 else None
    for item in ITEMS.values():
        bad = [item if n == BAD else n for n in NUMBERS]
        yield identity, bad, TaskError if size > 1 else None


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chunksize", [1, 8])
def test_a_task_fails_alone(comm, method, chunksize):
    with MPIPool(comm) as pool:
        if pool is not None:
            other = pool.imap(identity, range(30))
            assert next(other) == 0
            future = pool.submit(identity, 1)
            for function, items, expected in cases(comm.size):
                results = method(pool, function, items, chunksize)
                rest = [n for n in NUMBERS if n != BAD]
                assert [n for i, n in enumerate(results) if i != BAD] == rest, function
                if expected is not None:
                    assert results[BAD] == expected, (function, items, results)
            assert list(other) == list(range(1, 30))
            assert future.result() == 1
            assert pool.map(identity, range(5)) == list(range(5))


def on_team(_comm, pair):
    function, item = pair
    return function(item)


def test_teams_survive_hostile_tasks(comm):
    with Teams(comm) as teams:
        if teams is not None:
            size = max(1, comm.size - 1)
            for function, items, expected in cases(comm.size):
                pairs = [(function, item) for item in items]
                results = outcome(lambda p=pairs: teams.map(on_team, p, size))
                if isinstance(expected, type):
                    assert results is expected, (function, items)
                elif expected is not None:
                    assert results == NUMBERS
            assert teams.map(on_team, [(identity, 7)], size) == [7]


def refusals(comm, function):
    """Assert that all calls of a function raise `TaskError` on the root."""
    with MPIPool(comm) as pool:
        if pool is not None:
            for call in (pool.map, pool.imap):
                with pytest.raises(TaskError, match="top level of a module"):
                    call(function, [1])
            future = pool.submit(function, 1)
            with pytest.raises(TaskError, match="top level of a module"):
                future.result(30)
    with Teams(comm) as teams:
        if teams is not None:
            with pytest.raises(TaskError, match="top level of a module"):
                teams.map(function, [1], 1)


def test_functions_are_pickled_by_value_with_cloudpickle(comm, monkeypatch):
    lock, numbers = threading.Lock(), np.arange(3.0)

    def nested(x):
        return float(numbers.sum()) * x

    with MPIPool(comm) as pool:
        if pool is not None:
            for function in (nested, lambda x: 3.0 * x):
                assert pool.map(function, range(9)) == [3.0 * x for x in range(9)]
                assert pool.submit(function, 1).result(30) == 3
    if comm.size > 1:
        refusals(comm, lambda x: (lock, x))
        monkeypatch.setitem(sys.modules, "cloudpickle", None)  # not installed
        refusals(comm, nested)


class Items:
    """Items with a wrong length or none, which raise an exception at the end."""

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
def test_errors_of_items_are_raised_after_the_results_before_them(
    comm, chunksize, error, size
):
    with MPIPool(comm) as pool:
        if pool is not None:
            for method in (pool.imap, pool.imap_unordered):
                results = method(identity, Items(10, error, size), chunksize)
                assert sorted(next(results) for _ in range(10)) == list(range(10))
                if error is not None:
                    assert outcome(lambda r=results: next(r)) is type(error)
                assert outcome(lambda r=results: next(r)) is StopIteration


@pytest.mark.parametrize("size", [2.0, "2", None.__class__, [1]])
def test_chunksizes_are_whole_numbers(comm, size):
    with MPIPool(comm) as pool:
        if pool is not None:
            for method in (pool.map, pool.imap, pool.imap_unordered):
                with pytest.raises(ValueError, match="must be 1 or more"):
                    method(identity, [1], size)


def test_results_are_refused_after_the_block(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.imap(identity, range(1000))
            assert next(results) == 0
    if comm.rank == 0:
        for function in (
            lambda: list(results),
            lambda: pool.map(identity, [1]),
            lambda: pool.submit(identity, 1),
        ):
            with pytest.raises(RuntimeError, match="the pool is closed"):
                function()


def sleep(x):
    hostile.time.sleep(x)
    return x


def test_futures_are_those_of_concurrent_futures(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            futures = [pool.submit(identity, x) for x in range(20)]
            done = concurrent.futures.as_completed(futures, timeout=60)
            assert sorted(future.result() for future in done) == list(range(20))

            async def gather():
                wrapped = [
                    asyncio.wrap_future(pool.submit(identity, x)) for x in range(9)
                ]
                return await asyncio.gather(*wrapped)

            assert asyncio.run(gather()) == list(range(9))
            inner = []
            future = pool.submit(identity, 4)
            future.add_done_callback(lambda _: inner.append(pool.submit(identity, 5)))
            if comm.size > 1:  # else it is done, and callbacks run in this thread
                future.add_done_callback(lambda _: hostile.exits())
            concurrent.futures.wait([future])
            assert pool.submit(identity, 6).result(60) == 6
            assert inner[0].result(60) == 5


def test_pending_futures_can_be_cancelled(comm):
    workers = max(1, comm.size - 1)
    with MPIPool(comm) as pool:
        if pool is not None and comm.size > 1:
            running = [pool.submit(sleep, 0.4) for _ in range(workers)]
            with pytest.raises(concurrent.futures.TimeoutError):
                running[0].result(timeout=0.01)
            pending = [pool.submit(sleep, 0.4) for _ in range(50)]
            assert all(future.cancel() for future in pending)
            assert concurrent.futures.wait(pending, timeout=60).not_done == set()
    if comm.rank == 0 and comm.size > 1:
        assert [future.result() for future in running] == [0.4] * workers
        assert all(future.cancelled() for future in pending)


@pytest.mark.one_mpi
def test_many_submitted_tasks_take_linear_time(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            futures = [pool.submit(identity, x) for x in range(20_000)]
            assert [future.result() for future in futures] == list(range(20_000))


def sleep_and_return_pid(x):
    hostile.time.sleep(x)
    return hostile.os.getpid()


@pytest.mark.parametrize("chunksize", [1, 64])
def test_no_worker_is_idle_while_another_has_pending_tasks(comm, chunksize):
    seconds = [0.0] * 40 + [0.5] + [0.001] * 23  # short tasks behind a long one
    with MPIPool(comm) as pool:
        if pool is not None:
            pids = pool.map(sleep_and_return_pid, seconds, chunksize)
            slow_pid = pids[40]
            if comm.size > 2:  # others executed the tasks behind it
                assert [pid for pid in pids[41:] if pid != slow_pid]
                assert sum(pid == slow_pid for pid in pids[41:]) <= 12
