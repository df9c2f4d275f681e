"""Futures that users set, exceptions that are false, and shared iterators."""

import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.submitted import SubmitResults

pytestmark = pytest.mark.mpi


class EmptyError(Exception):
    """An exception whose `bool` is false."""

    def __len__(self):
        return 0


def square(x):
    return x * x


def fail(x):
    raise EmptyError(x)


def double(x):
    time.sleep(1e-4)
    return 2 * x


def wait_for_file(path):
    while not Path(path).exists():
        time.sleep(0.01)


def test_a_future_that_the_user_sets_is_skipped():
    submitted = SubmitResults(0, None)
    (first, future), (second, other) = (submitted.add(None) for _ in range(2))
    future.set_result(9)
    assert not submitted.set_running(first)
    assert submitted.set_running(second)
    assert submitted.set_running(second)  # sent again
    other.set_exception(ValueError())
    assert not submitted.set_running(second)


def test_other_tasks_run_after_the_user_has_set_a_future(comm, tmp_path):
    if comm.size == 1:
        return  # a future is done when it is returned
    path = comm.bcast(str(tmp_path / "go"))
    with MPIPool(comm) as pool:
        if pool is not None:
            waiting = [pool.submit(wait_for_file, path) for _ in range(300)]
            futures = [pool.submit(square, x) for x in range(4)]
            futures[1].set_result(9)
            Path(path).touch()
            assert [future.result(60) for future in futures] == [0, 9, 4, 9]
            assert [future.result(60) for future in waiting] == [None] * 300
            assert pool.map(square, [2]) == [4]


def test_false_exceptions_are_raised(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            for call in (
                lambda: pool.apply(fail, (1,)),
                lambda: pool.submit(fail, 1).result(60),
                lambda: pool.apply_async(fail, (1,)).get(60),
                lambda: pool.map_async(fail, [1]).get(60),
                lambda: pool.map(fail, [1]),
                lambda: pool.map(square, bad_items()),
                lambda: list(pool.imap(square, bad_items())),
            ):
                with pytest.raises(EmptyError):
                    call()


def bad_items():
    yield 1
    raise EmptyError


@pytest.mark.parametrize("ordered", [True, False])
def test_threads_share_an_iterator(comm, ordered):
    def consume():
        shared.extend(results)
        ended.append(True)

    with MPIPool(comm) as pool:
        if pool is not None:
            call = pool.imap if ordered else pool.imap_unordered
            results, shared, ended = call(square, iter(range(500))), [], []
            threads = [threading.Thread(target=consume, daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert sorted(shared) == [x * x for x in range(500)]
            assert ended == [True] * 4


@pytest.mark.parametrize(
    "options", [{}, {"timeout": 60}, {"max_tasks_per_child": 40}], ids=str
)
def test_threads_get_the_results_of_their_own_calls(comm, options):
    with MPIPool(comm, **options) as pool:
        if pool is not None:
            items = [range(k, k + 30) for k in range(0, 400, 100)]
            calls = (
                lambda numbers: pool.map(double, numbers),
                lambda numbers: list(pool.imap(double, numbers)),
                lambda numbers: pool.map_async(double, numbers).get(60),
            )
            with ThreadPoolExecutor(4) as threads:
                for call in calls:
                    expected = [[2 * x for x in numbers] for numbers in items]
                    assert list(threads.map(call, items)) == expected


@pytest.mark.parametrize("ordered", [True, False])
def test_the_next_result_is_waited_for_so_long(comm, ordered, tmp_path):
    path = comm.bcast(str(tmp_path / "go"))
    with MPIPool(comm) as pool:
        if pool is not None:
            call = pool.imap if ordered else pool.imap_unordered
            assert call(square, [3]).next(60) == 9
            if comm.size > 1:
                results = call(wait_for_file, [path])
                for timeout in (0, 0.05, -1):
                    with pytest.raises(multiprocessing.TimeoutError):
                        results.next(timeout)
                Path(path).touch()
                assert results.next(timeout=60) is None
            else:
                Path(path).touch()
                results = call(wait_for_file, [path])
                assert results.next(0) is None  # executed, whatever the time
            with pytest.raises(StopIteration):
                results.next(1)
