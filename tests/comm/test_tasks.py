"""Tasks over ranks: what a process pool does, on any number of ranks."""

import itertools
import os
import sys
import time

import numpy as np
import pytest

from mpiapps.comm.task import TaskError
from mpiapps.comm.tasks import Tasks

pytestmark = pytest.mark.mpi


def square(x):
    return x * x


def power(x, y):
    return x**y


def fails(x):
    if x % 3 == 2:
        raise ValueError(f"no {x}")
    return x


def leaves(_):
    sys.exit(7)


def where(_):
    time.sleep(0.002)
    return os.getpid()


def number(x, rng):
    return x, rng.random()


def large(x):
    return np.full(300_000, x, dtype=np.int64)


class Odd(Exception):
    """Cannot be made from what it is pickled as."""

    def __init__(self, one, two):
        super().__init__(one + two)


def odd(x):
    raise Odd(x, 1)


def unsendable(x):
    return lambda: x


class Twisted:
    """Is pickled well, and cannot be read."""

    def __reduce__(self):
        return (int, ("not a number",))


def twisted(_):
    return Twisted()


def slow(x):
    time.sleep(x)
    return x


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 100])
@pytest.mark.parametrize("chunksize", [None, 1, 3, 1000, "guided"])
def test_maps_are_those_of_python(comm, n, chunksize):
    with Tasks(comm) as tasks:
        if tasks is not None:
            items = list(range(n))
            expected = [x * x for x in items]
            assert tasks.map(square, items, chunksize) == expected
            pairs = [(x, 2) for x in items]
            assert tasks.starmap(power, pairs, chunksize) == expected
            if isinstance(chunksize, int):
                assert list(tasks.imap(square, items, chunksize)) == expected
                found = tasks.imap_unordered(square, items, chunksize)
                assert sorted(found) == expected
            assert tasks.map(square, iter(items)) == expected
    comm.Barrier()


def test_endless_items_are_taken_as_they_are_needed(comm):
    taken = []

    def numbers():
        for each in itertools.count():
            taken.append(each)
            yield each

    with Tasks(comm) as tasks:
        if tasks is not None:
            found = tasks.imap(square, numbers(), chunksize=2)
            assert [next(found) for _ in range(50)] == [x * x for x in range(50)]
            assert len(taken) <= 50 + 2 * 64 * max(1, comm.size - 1) + 2
            # Another call while the first one has not ended.
            assert tasks.map(square, [1, 2, 3]) == [1, 4, 9]
            assert next(found) == 2500


def test_an_error_has_the_ranks_traceback_and_the_others_are_done(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            with pytest.raises(ValueError, match="no 2") as caught:
                tasks.map(fails, range(10), 1)
            assert "in fails" in str(caught.value.__cause__)
            assert "task 2 on rank" in str(caught.value.__cause__)
            assert tasks.map(square, range(5)) == [0, 1, 4, 9, 16]
            found, seen = tasks.imap(fails, range(6)), []
            for x in range(6):
                if x % 3 == 2:
                    with pytest.raises(ValueError, match=f"no {x}"):
                        next(found)
                else:
                    seen.append(next(found))
            assert seen == [0, 1, 3, 4]
            with pytest.raises(StopIteration):
                next(found)


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (leaves, r"task 0 called sys.exit\(7\)"),
        (odd, r"the error of task 0 \(Odd\) cannot be unpickled"),
        (unsendable, r"the result of task 0 \(function\) cannot be pickled"),
        (twisted, r"the result of task 0 \(Twisted\) cannot be unpickled"),
    ],
)
def test_what_cannot_come_back_is_an_error_of_its_task(comm, function, says):
    with Tasks(comm) as tasks:
        if tasks is not None:
            if comm.size == 1 and function in (unsendable, twisted, odd):
                return  # nothing is sent
            with pytest.raises(TaskError, match=says):
                tasks.map(function, [1])
            assert tasks.map(square, [3]) == [9]


def test_all_workers_work(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            pids = set(tasks.map(where, range(40), 1))
            assert len(pids) == max(1, comm.size - 1)
            assert comm.size == 1 or os.getpid() not in pids


@pytest.mark.parametrize("chunksize", [1, 4, None])
def test_seeds_give_each_task_its_numbers_wherever_it_runs(comm, chunksize):
    expected = [
        (i, np.random.default_rng(np.random.SeedSequence(5, spawn_key=(i,))).random())
        for i in range(10)
    ]
    with Tasks(comm) as tasks:
        if tasks is not None:
            assert tasks.map(number, range(10), chunksize, seed=5) == expected


def test_large_items_and_results(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            for x, found in enumerate(tasks.imap(large, range(6))):
                assert found.shape == (300_000,)
                assert (found == x).all()
            found = tasks.map(square, [np.arange(200_000), np.arange(3)], 1)
            np.testing.assert_array_equal(found[1], [0, 1, 4])
            assert found[0][-1] == 199_999**2


def test_futures(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            futures = [tasks.submit(power, x, y=2) for x in range(20)]
            assert [each.result() for each in futures] == [x * x for x in range(20)]
            failed = tasks.submit(fails, 2)
            assert isinstance(failed.exception(), ValueError)
            with pytest.raises(ValueError, match="no 2"):
                failed.result()
            left = [tasks.submit(square, x) for x in range(9)]
    if comm.rank == 0:  # what was submitted is done before the workers go
        assert [each.result() for each in left] == [x * x for x in range(9)]


def test_wrong_chunk_sizes(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            for size in (0, -1, "static"):
                with pytest.raises(ValueError, match="must be 1 or more, or 'guided'"):
                    tasks.map(square, [1], size)
            with pytest.raises(ValueError, match="needs items with a length"):
                list(tasks.imap(square, iter([1]), "guided"))


def test_a_part_of_the_ranks_shares_by_itself(comm):
    part = comm.Split(comm.rank % 2, comm.rank)
    with Tasks(part) as tasks:
        if tasks is not None:
            assert tasks.map(square, range(7)) == [x * x for x in range(7)]
    part.Free()


def test_idle_ranks_sleep(comm):
    before = time.process_time()
    with Tasks(comm) as tasks:
        if tasks is not None:
            tasks.map(slow, [1.0])
    used = time.process_time() - before
    assert (
        used < 0.2
    )  # of a second that all ranks but one waited; spinning takes it all


def counted_to(n):
    yield from range(n)
    raise RuntimeError("no more items")


def test_it_goes_on_after_items_that_fail(comm):
    with Tasks(comm) as tasks:
        if tasks is not None:
            with pytest.raises(RuntimeError, match="no more items"):
                list(tasks.imap(square, counted_to(5)))
            if comm.size > 1:
                with pytest.raises(Exception, match="top level of a module"):
                    tasks.map(square, [1, lambda: 0, 3], chunksize=1)
            assert tasks.map(square, range(4)) == [0, 1, 4, 9]
