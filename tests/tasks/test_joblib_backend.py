"""What joblib's own backends promise, on ranks."""

import multiprocessing
import time
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from mpiapps.base.errors import UsageError
from mpiapps.comm.shared import can_map
from mpiapps.launch.mpi import MPI
from mpiapps.tasks import host_arrays
from mpiapps.tasks.joblib_backend import joblib_pool

pytestmark = pytest.mark.mpi


def on_root(world, function, common=()):
    """Return what `function` returns on the root; raise its error on all ranks."""
    result = None
    with world.agree(), joblib_pool(world, common) as pool:
        if pool is not None:
            with parallel_config("mpiapps", n_jobs=-1):
                result = function()
    return world.comm.bcast(result)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 50])
def test_results_are_in_order(world, n):
    shift = 3  # of a lambda, which plain pickle refuses

    def run():
        return Parallel()(delayed(lambda x: x + shift)(i) for i in range(n))

    assert on_root(world, run) == [i + 3 for i in range(n)]


def test_workers_are_the_other_ranks(world):
    def run():
        def rank(_):
            return MPI.COMM_WORLD.rank

        return effective_n_jobs(-1), set(Parallel()(map(delayed(rank), range(60))))

    workers, ranks = on_root(world, run)
    assert workers == max(1, world.size - 1)
    others = set(range(1, world.size))
    assert ranks <= (others if workers > 1 else {0})
    assert ranks


def test_n_jobs_is_a_number_of_workers_as_in_joblib(world):
    def run():
        return [effective_n_jobs(n) for n in (1, 2, 99, -1, -2, -99)]

    p = max(1, world.size - 1)
    expected = [1, min(2, p), p, p, max(p - 1, 1), 1]
    assert on_root(world, run) == expected


def test_the_error_of_a_task_is_raised_and_the_backend_works_on(world):
    def fail(i):
        if i == 7:
            raise KeyError("seven")
        return i

    def run():
        with pytest.raises(KeyError, match="seven"):
            Parallel()(delayed(fail)(i) for i in range(50))
        return Parallel()(delayed(abs)(-i) for i in range(5))

    assert on_root(world, run) == list(range(5))


def test_what_cannot_be_pickled_is_an_error_not_a_hang(world):
    def run():
        if effective_n_jobs(-1) == 1:
            return True  # this process works itself
        lock = __import__("threading").Lock()
        with pytest.raises(TypeError, match="pickle"):
            Parallel()(delayed(id)(lock if i > 20 else i) for i in range(40))
        with pytest.raises(Exception, match="pickle"):
            Parallel()(delayed(lambda: __import__("threading").Lock())() for _ in "ab")
        return True

    assert on_root(world, run)


@pytest.mark.parametrize("way", ["generator", "generator_unordered"])
def test_generators_yield_all_results(world, way):
    def run():
        results = Parallel(return_as=way)(delayed(pow)(i, 2) for i in range(30))
        return list(results)

    values = on_root(world, run)
    assert sorted(values) == [i * i for i in range(30)]
    assert way != "generator" or values == sorted(values)


@pytest.mark.filterwarnings("ignore:.*tasks")
def test_a_generator_may_be_closed_early(world):
    def run():
        results = Parallel(return_as="generator")(delayed(abs)(i) for i in range(99))
        first = next(results)
        results.close()
        return first, Parallel()(delayed(abs)(i) for i in range(3))

    assert on_root(world, run) == (0, [0, 1, 2])


@pytest.mark.parametrize("batch_size", [1, 7, 100, "auto"])
def test_batches_of_any_size(world, batch_size):
    def run():
        return Parallel(batch_size=batch_size)(delayed(abs)(-i) for i in range(30))

    assert on_root(world, run) == list(range(30))


def test_scikit_learn_has_the_same_bits(world):
    x, y = load_iris(return_X_y=True)
    forest = RandomForestClassifier(20, random_state=0)

    def run(n_jobs=-1):
        scores = cross_val_score(forest, x, y, n_jobs=n_jobs)
        fitted = clone(forest).set_params(n_jobs=n_jobs).fit(x, y)
        return scores.tolist(), fitted.predict_proba(x).tolist()

    assert on_root(world, run) == run(None)


def test_a_timeout_is_raised(world):
    def run():
        if effective_n_jobs(-1) > 1:
            with pytest.raises(multiprocessing.TimeoutError):
                Parallel(timeout=0.05)(delayed(time.sleep)(0.5) for _ in range(2))
        return Parallel()(delayed(abs)(i) for i in range(3))

    assert on_root(world, run) == [0, 1, 2]


def test_nested_calls_run_in_their_task(world):
    def inner(i):
        return Parallel(n_jobs=2)(delayed(pow)(i, j) for j in range(3))

    def run():
        return Parallel()(delayed(inner)(i) for i in range(4))

    assert on_root(world, run) == [[1, i, i * i] for i in range(4)]


def test_items_are_taken_as_workers_are_free(world):
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield delayed(fail_at)(i)

    def fail_at(i):
        if i == 10:
            raise ZeroDivisionError

    def run():
        with pytest.raises(ZeroDivisionError):
            Parallel(pre_dispatch=4, batch_size=1)(items())
        return len(taken)

    assert 10 < on_root(world, run) < 1000


@pytest.mark.parametrize("bytes_", [100, 10**6])
def test_arrays_arrive_whole(world, bytes_):
    arrays = [np.full(bytes_ // 8, i, float) for i in range(3)]

    def run():
        return Parallel()(delayed(np.negative)(array) for array in arrays)

    for result, array in zip(on_root(world, run), arrays, strict=True):
        np.testing.assert_array_equal(result, -array)


@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_tasks_of_a_call_share_a_large_array_and_the_next_call_sees_changes(
    world, order
):
    whole = np.arange(800_000.0).reshape(1000, 800)
    arrays = {"C": whole, "F": np.asfortranarray(whole), "strided": whole[::2]}
    x = arrays[order]

    def look(x, i):
        return (
            x[i, :3].tolist(),
            x.shape,
            x.strides[0] > x.strides[1],
            x.flags.writeable,
        )

    def run():
        before = Parallel()(delayed(look)(x, i) for i in range(9))
        x[:] = 1
        return before, Parallel()(delayed(look)(x, i) for i in range(9))

    rows = x[:9, :3].tolist()
    before, after = on_root(world, run)
    assert [row for row, *_ in before] == rows
    assert all(row == [1, 1, 1] for row, *_ in after)
    is_own = world.size <= 2 or not can_map(world.comm)  # in this process, or sent
    assert {each[1:] for each in before} == {(x.shape, order != "F", is_own)}


def copies():
    """Return how many copies of arrays the root has mapped."""
    return Path("/proc/self/maps").read_text().count("memfd:mpiapps")


def test_copies_are_freed_with_the_last_task_that_has_them(world):
    def run():
        arrays = [np.full(300_000, i) for i in range(50)]  # also of living arrays
        most, sums = 0, []
        for total in Parallel(return_as="generator")(
            delayed(np.sum)(array) for array in arrays
        ):
            most = max(most, copies())
            sums.append(int(total))
        return sums, most, copies()

    sums, most, left = on_root(world, run)
    assert sums == [300_000 * i for i in range(50)]
    assert most < 50
    assert left == 0


def test_calls_that_overlap_have_their_own_copies(world):
    def run():
        x = np.zeros(300_000)
        first = Parallel(return_as="generator")(
            delayed(np.sum)(x) for _ in range(9 * world.size)
        )
        next(first)
        x[:] = 1
        now = Parallel()(delayed(np.sum)(x) for _ in range(9))
        return now, len(list(first))

    now, others = on_root(world, run)
    assert now == [300_000] * 9
    assert others == 9 * world.size - 1


def test_a_task_may_write_to_its_own_copy(world):
    def fill(x):
        x[:] = 3
        return x.sum()

    def run():
        x = np.zeros(300_000)
        return Parallel(max_nbytes=None)(delayed(fill)(x) for _ in range(4))

    assert on_root(world, run) == [900_000] * 4


def test_without_files_for_copies_arrays_are_sent(world, monkeypatch):
    def refuse(*_):
        raise OSError("too many open files")

    monkeypatch.setattr(host_arrays, "HostMemory", refuse)

    def run():
        return Parallel()(delayed(np.sum)(np.full(300_000, i)) for i in range(5))

    assert on_root(world, run) == [300_000 * i for i in range(5)]


def test_a_common_object_is_that_of_the_rank(world):
    """Each rank has its own one here, which shows that it is not sent."""
    common = [world.rank] * 1000

    def run():
        return Parallel()(delayed(lambda x: (x[0], len(x)))(common) for _ in range(20))

    results = on_root(world, run, (common,))
    assert {length for _, length in results} == {1000}
    assert (0 in {rank for rank, _ in results}) == (world.size <= 2)


def test_an_error_of_the_root_ends_the_block_on_all_ranks(world):
    def run():
        Parallel()(delayed(abs)(i) for i in range(3))
        raise ArithmeticError("of the root")

    with pytest.raises(ArithmeticError, match="of the root"):
        on_root(world, run)
    assert on_root(world, lambda: Parallel()([delayed(abs)(-1)])) == [1]


def test_without_ranks_the_backend_is_refused(world):
    with pytest.raises(UsageError, match="joblib_pool"):
        parallel_config("mpiapps")
    world.comm.Barrier()
