"""MPIPool has the semantics of multiprocessing.Pool, on any number of ranks."""

import itertools
import os
import sys
import time

import numpy as np
import pytest

from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.task import Call, TaskError, pack_call
from mpiapps.tasks.worker import Worker

pytestmark = pytest.mark.mpi


def square(x):
    return x * x


def power(x, y):
    return x**y


def fails(x):
    if x % 3 == 2:
        raise ValueError(f"no {x}")
    return x


def exits(_):
    sys.exit(7)


def process_id(_):
    time.sleep(0.002)
    return os.getpid()


def random_number(x, rng):
    return x, rng.random()


def large(x):
    return np.full(300_000, x, dtype=np.int64)


class TwoArgumentsError(Exception):
    """Cannot be unpickled: it is pickled with one argument and needs two."""

    def __init__(self, one, two):
        super().__init__(one + two)


def raises_unpicklable(x):
    raise TwoArgumentsError(x, 1)


def returns_lambda(x):
    return lambda: x


class NotUnpicklable:
    """Can be pickled, but not unpickled."""

    def __reduce__(self):
        return (int, ("not a number",))


def returns_not_unpicklable(_):
    return NotUnpicklable()


def sleep(x):
    time.sleep(x)
    return x


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 100])
@pytest.mark.parametrize("chunksize", [None, 1, 3, 1000, "guided"])
def test_maps_return_the_results_of_python(comm, n, chunksize):
    with MPIPool(comm) as pool:
        if pool is not None:
            items = list(range(n))
            expected = [x * x for x in items]
            assert pool.map(square, items, chunksize) == expected
            pairs = [(x, 2) for x in items]
            assert pool.starmap(power, pairs, chunksize) == expected
            if isinstance(chunksize, int):
                assert list(pool.imap(square, items, chunksize)) == expected
                results = pool.imap_unordered(square, items, chunksize)
                assert sorted(results) == expected
            assert pool.map(square, iter(items)) == expected
    comm.Barrier()


def test_infinite_items_are_taken_lazily(comm):
    taken = []

    def numbers():
        for number in itertools.count():
            taken.append(number)
            yield number

    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.imap(square, numbers(), chunksize=2)
            assert [next(results) for _ in range(50)] == [x * x for x in range(50)]
            assert len(taken) <= 50 + 2 * 64 * max(1, comm.size - 1) + 2
            # Another call before the first one has ended.
            assert pool.map(square, [1, 2, 3]) == [1, 4, 9]
            assert next(results) == 2500


def test_an_error_has_the_traceback_of_its_rank_and_other_tasks_continue(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            with pytest.raises(ValueError, match="no 2") as caught:
                pool.map(fails, range(10), 1)
            assert "in fails" in str(caught.value.__cause__)
            assert "task 2 on rank" in str(caught.value.__cause__)
            assert pool.map(square, range(5)) == [0, 1, 4, 9, 16]
            results, values = pool.imap(fails, range(6)), []
            for x in range(6):
                if x % 3 == 2:
                    with pytest.raises(ValueError, match=f"no {x}"):
                        next(results)
                else:
                    values.append(next(results))
            assert values == [0, 1, 3, 4]
            with pytest.raises(StopIteration):
                next(results)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (exits, r"task 0 called sys.exit\(7\)"),
        (
            raises_unpicklable,
            r"the error of task 0 \(TwoArgumentsError\) cannot be unpickled",
        ),
        (returns_lambda, r"the result of task 0 \(function\) cannot be pickled"),
        (
            returns_not_unpicklable,
            r"the result of task 0 \(NotUnpicklable\) cannot be unpickled",
        ),
    ],
)
def test_an_outcome_that_cannot_be_sent_fails_its_task(comm, function, message):
    with MPIPool(comm) as pool:
        if pool is not None:
            if comm.size == 1 and function is not exits:
                return  # nothing is sent
            with pytest.raises(TaskError, match=message):
                pool.map(function, [1])
            assert pool.map(square, [3]) == [9]


def test_all_workers_get_tasks(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            pids = set(pool.map(process_id, range(40), 1))
            assert len(pids) == max(1, comm.size - 1)
            assert comm.size == 1 or os.getpid() not in pids


@pytest.mark.parametrize("chunksize", [1, 4, None])
def test_the_random_numbers_of_a_task_do_not_depend_on_its_rank(comm, chunksize):
    expected = [
        (i, np.random.default_rng(np.random.SeedSequence(5, spawn_key=(i,))).random())
        for i in range(10)
    ]
    with MPIPool(comm) as pool:
        if pool is not None:
            assert pool.map(random_number, range(10), chunksize, seed=5) == expected


def test_large_items_and_results(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            for x, array in enumerate(pool.imap(large, range(6))):
                assert array.shape == (300_000,)
                assert (array == x).all()
            arrays = pool.map(square, [np.arange(200_000), np.arange(3)], 1)
            np.testing.assert_array_equal(arrays[1], [0, 1, 4])
            assert arrays[0][-1] == 199_999**2


def test_futures(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            futures = [pool.submit(power, x, y=2) for x in range(20)]
            assert [f.result() for f in futures] == [x * x for x in range(20)]
            failed = pool.submit(fails, 2)
            assert isinstance(failed.exception(), ValueError)
            with pytest.raises(ValueError, match="no 2"):
                failed.result()
            pending = [pool.submit(square, x) for x in range(9)]
    if comm.rank == 0:  # leaving the block waits for submitted tasks
        assert [future.result() for future in pending] == [x * x for x in range(9)]


def test_a_call_that_ends_while_its_order_is_assigned(comm):
    # Another thread cancels it between the choice of a chunk and its message.
    worker = Worker(comm, 0)
    worker._enqueue([], [(1, 0, 1, [2], pack_call(Call(square)))])
    worker._enqueue([1], [(1, 1, 1, [3], None)])
    assert [list(chunk.tasks) for chunk in worker._queue] == [[2], [3]]


def test_invalid_chunksizes(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            for size in (0, -1, "static"):
                with pytest.raises(ValueError, match="must be 1 or more, or 'guided'"):
                    pool.map(square, [1], size)
            with pytest.raises(ValueError, match="needs items with a length"):
                list(pool.imap(square, iter([1]), "guided"))


def test_a_pool_of_a_part_of_the_ranks(comm):
    part = comm.Split(comm.rank % 2, comm.rank)
    with MPIPool(part) as pool:
        if pool is not None:
            assert pool.map(square, range(7)) == [x * x for x in range(7)]
    part.Free()


def test_idle_ranks_sleep(comm):
    start = time.process_time()
    with MPIPool(comm) as pool:
        if pool is not None:
            pool.map(sleep, [0.5])
    used = time.process_time() - start
    assert used < 0.1  # of the half second for which all ranks but one wait


def numbers_then_error(n):
    yield from range(n)
    raise RuntimeError("no more items")


def test_a_pool_continues_after_items_that_fail(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            with pytest.raises(RuntimeError, match="no more items"):
                list(pool.imap(square, numbers_then_error(5)))
            if comm.size > 1:
                with pytest.raises(Exception, match="top level of a module"):
                    pool.map(square, [1, lambda: 0, 3], chunksize=1)
            assert pool.map(square, range(4)) == [0, 1, 4, 9]
