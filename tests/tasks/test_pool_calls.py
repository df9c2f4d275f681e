"""Calls that are not waited for, limits of tasks, and memory of pending results."""

import concurrent.futures
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mpiapps.tasks import pending_memory
from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.task import TaskError

pytestmark = pytest.mark.mpi
MB = 2**20


def add(x, y=1):
    return x + y


def fails(x):
    if x % 3 == 2:
        raise ValueError(f"no {x}")
    return x


def hang_at_two(x):
    if x == 2:
        time.sleep(60)
    return x


def kill_at_two(x):
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def child(_):
    return os.getpid()


def array_like(array):
    return array + 1


BUFFER = np.empty(2**14)


def reuses_a_buffer(x):
    BUFFER[:] = x
    return BUFFER


class Function:
    """A function whose copies can be counted."""

    def __call__(self, x):
        return x


def count_functions(_):
    gc.collect()
    return sum(isinstance(x, Function) for x in gc.get_objects())


def test_a_task_may_reuse_the_memory_of_its_result(comm):
    with MPIPool(comm) as pool:
        if pool is not None and comm.size > 1:
            found = [array[-1] for array in pool.imap(reuses_a_buffer, range(200))]
            assert found == list(range(200))


def test_workers_release_the_functions_of_calls_that_have_ended(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            for _ in range(10):
                pool.map_async(Function(), range(3 * comm.size)).get()
                next(pool.imap(Function(), range(3 * comm.size)))
                assert not pool.map(abs, [0] * comm.size, 1)[0]
            assert max(pool.map(count_functions, range(4 * comm.size), 1)) < 10


def test_async_calls_return_what_map_does(comm):
    called, failed = [], []
    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.map_async(add, range(20), 3, called.append, failed.append)
            assert results.get() == list(range(1, 21))
            assert results.ready()
            assert results.successful()
            assert pool.map_async(add, []).get() == []
            assert pool.starmap_async(add, [(1, 2), (3,)]).get() == [3, 4]
            assert pool.apply(add, (1,), {"y": 4}) == 5
            one = pool.apply_async(add, [1], {}, called.append)
            one.wait()
            assert one.get(timeout=60) == 2
            bad = pool.map_async(fails, range(9), 1, called.append, failed.append)
            with pytest.raises(ValueError, match="no 2") as caught:
                bad.get()
            assert "task 2 on rank" in str(caught.value.__cause__)
            assert not bad.successful()
            pending = pool.map_async(add, range(5), 1, called.append)
    if comm.rank == 0:  # leaving the block waits for it
        assert pending.get() == [1, 2, 3, 4, 5]
        assert called == [list(range(1, 21)), 2, [1, 2, 3, 4, 5]]
        assert [str(error) for error in failed] == ["no 2"]


def wait_for_file(path):
    while not Path(path).exists():
        time.sleep(0.01)


def test_a_result_that_is_not_there_yet(comm, tmp_path):
    if comm.size == 1:
        return  # executed by the call itself
    path = comm.bcast(str(tmp_path / "go"))
    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.map_async(wait_for_file, [path])
            with pytest.raises(multiprocessing.TimeoutError):
                results.get(timeout=0.01)
            assert not results.ready()
            with pytest.raises(ValueError, match="have not ended"):
                results.successful()
            Path(path).touch()
            assert results.get() == [None]


def test_futures_work_with_concurrent_futures(comm):
    names, called = [], threading.Event()
    with MPIPool(comm) as pool:
        if pool is not None:
            futures = [pool.submit(add, x) for x in range(12)]
            done = [f.result() for f in concurrent.futures.as_completed(futures)]
            assert sorted(done) == list(range(1, 13))
            done, left = concurrent.futures.wait([pool.submit(fails, 2)])
            assert (len(done), len(left)) == (1, 0)

            def note(future):
                names.append(future.result())
                called.set()

            pool.submit(add, 5).add_done_callback(note)
            assert called.wait(60)
            assert names == [6]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (hang_at_two, "task 2: terminated at its time limit of 1 s"),
        (kill_at_two, r"task 2: its process ended with signal 9 \(SIGKILL\)"),
    ],
)
def test_a_task_that_hangs_or_crashes_fails_alone(comm, function, reason):
    with MPIPool(comm, timeout=1) as pool:
        if pool is not None:
            results = pool.imap(function, range(4), chunksize=2)
            assert [next(results), next(results)] == [0, 1]
            with pytest.raises(TaskError, match=reason):
                next(results)
            assert next(results) == 3
            with pytest.raises(ValueError, match="no 2") as caught:
                pool.map(fails, range(3))
            assert "in fails" in str(caught.value.__cause__)
            assert pool.submit(add, 1).result() == 2


@pytest.mark.one_mpi
def test_a_child_is_replaced_after_its_tasks(comm):
    with MPIPool(comm, max_tasks_per_child=2) as pool:
        if pool is not None:
            pids = pool.map(child, range(8), chunksize=4)
            assert os.getpid() not in pids
            assert max(pids.count(pid) for pid in pids) == 2
            assert pool.map(add, [np.arange(3)])[0].tolist() == [1, 2, 3]


@pytest.mark.one_mpi
@pytest.mark.parametrize("limit_of_pool", [0, 60])
def test_a_call_has_its_own_time_limit(comm, limit_of_pool):
    with MPIPool(comm, timeout=limit_of_pool) as pool:
        if pool is not None:
            # Each call with a limit takes a second: half of them for each pool.
            stream = pool.imap if limit_of_pool else pool.imap_unordered
            results, values = stream(hang_at_two, range(4), timeout=1), []
            with pytest.raises(TaskError, match="at its time limit of 1 s"):
                values.extend(results)
            values.extend(results)
            assert (values if limit_of_pool else sorted(values)) == [0, 1, 3]
            call = pool.starmap if limit_of_pool else pool.map
            items = [(2,)] if limit_of_pool else range(4)
            with pytest.raises(TaskError, match="at its time limit of 1 s"):
                call(hang_at_two, items, timeout=1)
            assert pool.map(add, range(3), timeout=60) == [1, 2, 3]


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("timeout", -1),
        ("timeout", float("nan")),
        ("timeout", "5"),
        ("max_tasks_per_child", -1),
        ("max_tasks_per_child", 1.5),
    ],
)
def test_limits_are_validated(comm, limit, value):
    with pytest.raises(ValueError, match=f"{limit} '?{value}'? must not be negative"):
        MPIPool(comm, **{limit: value})


def test_limits_of_calls_are_validated(comm):
    with MPIPool(comm, timeout=None, max_tasks_per_child=None) as pool:
        if pool is not None:
            for timeout in (-1, float("nan")):
                with pytest.raises(ValueError, match="0 or None removes the limit"):
                    pool.map(add, [1], timeout=timeout)
            for number in (-2, 0.5):
                with pytest.raises(ValueError, match=f"max_pending {number} must not"):
                    pool.imap_unordered(add, range(9), max_pending=number)
            with pytest.raises(ValueError, match=f"at most {sys.maxsize}"):
                pool.imap(add, [1], sys.maxsize + 1)
            results = pool.imap_unordered(add, [1], max_pending=None, timeout=None)
            assert list(results) == [2]


def end_or_exit(x):
    if x == 1:
        raise StopIteration(3)
    if x == 2:
        sys.exit(5)
    if x == 3:
        raise TaskError("own")
    return x


@pytest.mark.one_mpi
@pytest.mark.parametrize("timeout", [0, 60])
def test_errors_are_the_same_with_a_limit(comm, timeout):
    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.imap(end_or_exit, range(5), timeout=timeout)
            assert next(results) == 0
            for message in (
                r"task 1 raised StopIteration\(3\)",
                r"task 2 called sys.exit\(5\)",
                "own",
            ):
                with pytest.raises(TaskError, match=f"^{message}$") as caught:
                    next(results)
                assert "in end_or_exit" in str(caught.value.__cause__)
            assert next(results) == 4


@pytest.mark.parametrize("ordered", [True, False])
def test_large_items_are_bounded_by_bytes(comm, monkeypatch, ordered):
    size, count, limit = 8 * MB, 60, 64 * MB
    monkeypatch.setattr(pending_memory, "MAX_PENDING_BYTES", limit)
    taken = []

    def items():
        for number in range(count):
            taken.append(number)
            yield np.full(size // 8, number, dtype=np.int64)

    with MPIPool(comm) as pool:
        if pool is not None:
            call = pool.imap if ordered else pool.imap_unordered
            results, start, sums = call(array_like, items()), resident(), []
            for number, array in enumerate(results):
                sums.append(int(array[0]))
                workers = max(1, comm.size - 1)
                assert len(taken) - number - 1 <= max(workers, limit // (2 * size)) + 1
                if number in (5, 20):
                    time.sleep(0.3)  # the workers are faster than this consumer
                    # Pending items and results, and those of messages under way.
                    assert resident() - start < 2 * limit + 4 * workers * size
            assert sorted(sums) == list(range(1, count + 1))


def resident():
    """Return the resident bytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_small_tasks_are_sent_ahead(comm):
    taken = []

    def items():
        for number in range(2000):
            taken.append(number)
            yield number

    with MPIPool(comm) as pool:
        if pool is not None:
            most = 0
            for number, _ in enumerate(pool.imap(add, items())):
                most = max(most, len(taken) - number - 1)
            assert comm.size == 1 or most > 16
