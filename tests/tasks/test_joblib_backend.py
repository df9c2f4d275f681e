"""What joblib's own backends promise, on ranks."""

import logging
import multiprocessing
import time
import weakref
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from joblib import Parallel, delayed, effective_n_jobs, parallel_config
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_score

from mpiapps.base.errors import UsageError
from mpiapps.launch.mpi import MPI
from mpiapps.tasks import host_arrays, joblib_backend, sent_arrays
from mpiapps.tasks.joblib_backend import joblib_pool
from mpiapps.tasks.mpi_pool import MPIPool

pytestmark = pytest.mark.mpi


def on_root(world, function, common=()):
    """Return what `function` returns on the root; raise its error on all ranks."""
    result = None
    with world.agree(), joblib_pool(world, common) as pool:
        if pool is not None:
            with parallel_config("mpiapps", n_jobs=-1):
                result = function()
    return world.comm.bcast(result)


@pytest.fixture(params=["one host", "several hosts"])
def hosts(request, monkeypatch):
    """Let ranks map the root's memory, as they do on its host, or not."""
    if request.param == "several hosts":
        monkeypatch.setattr(joblib_backend, "can_map", lambda _: False)


def wait_until(condition):
    """Wait until `condition` returns true."""
    for _ in range(10_000):
        if condition():
            return
        time.sleep(1e-3)
    raise TimeoutError(condition)


def sum_when(x, path):
    """Return the sum of an array once a file exists."""
    wait_until(Path(path).exists)
    return x.sum()


def can_write(x):
    """Return whether a task can write to an array, if it insists."""
    try:
        x.flags.writeable = True
    except ValueError:
        return False
    return True


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
@pytest.mark.usefixtures("hosts")
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
            can_write(x),
        )

    def run():
        before = Parallel()(delayed(look)(x, i) for i in range(9))
        x[:] = 1
        return before, Parallel()(delayed(look)(x, i) for i in range(9))

    rows = x[:9, :3].tolist()
    before, after = on_root(world, run)
    assert [row for row, *_ in before] == rows
    assert all(row == [1, 1, 1] for row, *_ in after)
    is_own = world.size <= 2  # in this process
    assert {each[1:] for each in before} == {(x.shape, order != "F", is_own)}


def copies():
    """Return how many copies of arrays the root has mapped."""
    return Path("/proc/self/maps").read_text().count("memfd:mpiapps")


@pytest.mark.usefixtures("hosts")
def test_copies_are_freed_with_the_last_task_that_has_them(world):
    def run():
        arrays = [np.full(300_000, i) for i in range(50)]  # also of living arrays
        parallel, most, sums = Parallel(return_as="generator"), 0, []
        for total in parallel(delayed(np.sum)(array) for array in arrays):
            most = max(most, copies())
            sums.append(int(total))
        references = list(map(weakref.ref, arrays))
        arrays.clear()
        wait_until(lambda: copies() == 0 and not any(each() for each in references))
        return sums, most

    sums, most = on_root(world, run)
    assert sums == [300_000 * i for i in range(50)]
    assert most < 50


@pytest.mark.usefixtures("hosts")
def test_calls_that_overlap_have_their_own_copies(world, tmp_path):
    def run():
        x, path = np.zeros(300_000), tmp_path / "go"
        first = Parallel(return_as="generator", batch_size=1)(
            delayed(sum_when)(x, path if i else tmp_path) for i in range(2)
        )
        next(first)
        x[:] = 1
        now = Parallel(batch_size=1)(delayed(np.sum)(x) for _ in range(9))
        path.touch()
        return now, len(list(first))

    assert on_root(world, run) == ([300_000] * 9, 1)


@pytest.mark.usefixtures("hosts")
def test_the_call_after_an_error_has_the_array_as_it_is_then(world, tmp_path):
    def run():
        x, path = np.zeros(300_000), tmp_path / "go"
        if effective_n_jobs(-1) == 1:
            path.touch()
        parallel = Parallel(batch_size=1, pre_dispatch="all")
        with pytest.raises(AttributeError):  # while the other task still runs
            parallel([delayed(sum_when)(x, path), delayed(sum_when)(None, tmp_path)])
        x[:] = 1

        def total(x):
            path.touch()
            return x.sum()

        return parallel(delayed(total)(x) for _ in range(9))

    assert on_root(world, run) == [300_000] * 9


@pytest.mark.usefixtures("hosts")
def test_an_error_of_the_callback_releases_the_array(world, monkeypatch):
    log = logging.getLogger("concurrent.futures")
    monkeypatch.setattr(log, "disabled", True)  # it would keep the frames of the error

    class Closed(Parallel):
        def print_progress(self):
            if self.n_completed_tasks == 3:
                raise BrokenPipeError("standard error is closed")

    def run():
        if effective_n_jobs(-1) == 1:
            return True  # without callbacks
        x = np.zeros(300_000)
        array, parallel = weakref.ref(x), Closed(batch_size=1, pre_dispatch="all")
        parallel([delayed(np.sum)(x) for _ in range(6)])
        del x
        wait_until(lambda: array() is None)
        return not parallel._backend._pending

    assert on_root(world, run)


@pytest.mark.usefixtures("hosts")
def test_a_task_may_write_to_its_own_copy(world):
    def fill(x):
        x[:] = 3
        return x.sum()

    def run():
        x = np.zeros(300_000)
        return Parallel(max_nbytes=None)(delayed(fill)(x) for _ in range(4))

    assert on_root(world, run) == [900_000] * 4


@pytest.fixture
def sent(monkeypatch):
    """Return the arrays that are sent with tasks, as on several hosts."""
    arrays = []

    def borrow(self, call, array, *args, **kwargs):
        reduced = original(self, call, array, *args, **kwargs)
        arrays.extend([array] if reduced[0] is sent_arrays.keep_array else [])
        return reduced

    original = sent_arrays.SentArrays.borrow
    monkeypatch.setattr(sent_arrays.SentArrays, "borrow", borrow)
    monkeypatch.setattr(joblib_backend, "can_map", lambda _: False)
    return arrays


def test_on_several_hosts_workers_keep_an_array_for_later_tasks(world, sent):
    x = np.arange(300_000)

    def run():
        return Parallel(batch_size=1)(
            delayed(lambda x, i: int(x[i]))(x, i) for i in range(99)
        )

    assert on_root(world, run) == list(range(99))
    workers = world.size - 1
    if workers > 1 and world.is_root:
        assert workers <= len(sent) < 2 * workers


def test_an_array_that_a_worker_has_dropped_is_sent_again(world, sent, monkeypatch):
    monkeypatch.setattr(sent_arrays, "MAX_KEPT_BYTES", 0)
    arrays = [np.full(300_000, i) for i in range(5)]

    def run():
        return Parallel(batch_size=1, pre_dispatch="all")(
            delayed(lambda x, y: int(x[0] * y[0]))(arrays[i % 5], arrays[1])
            for i in range(60)
        )

    assert on_root(world, run) == [i % 5 for i in range(60)]
    if world.is_root and world.size > 2:
        assert {id(array) for array in sent} == set(map(id, arrays))
        assert len(sent) > len(arrays) * (world.size - 1)
    assert not sent_arrays.KEPT.nbytes


@pytest.mark.parametrize("change", [{}, {"_aborting": True}, {"_call_id": "next"}])
def test_a_batch_is_sent_again_only_for_its_call(monkeypatch, change):
    futures = []

    def submit(*_):
        futures.append(Future())
        return futures[-1]

    pool = SimpleNamespace(n_workers=lambda: 2, submit=submit, submit_in_place=submit)
    monkeypatch.setattr(joblib_backend, "_pools", [(pool, False)])
    parallel = SimpleNamespace(_call_id="first", _aborting=False)

    def callback(_):
        pass

    callback.parallel, callback.parallel_call_id = parallel, "first"
    joblib_backend.MPIBackend().submit(abs, callback)
    vars(parallel).update(change)
    futures[0].set_result(None)  # an array is missing
    is_sent_again = any(not future.cancelled() for future in futures[1:])
    assert is_sent_again is (not change)


def test_batches_are_sent_again_while_the_pool_is_left(
    world, sent, monkeypatch, tmp_path
):
    monkeypatch.setattr(sent_arrays, "MAX_KEPT_BYTES", 0)
    path = Path(world.comm.bcast(str(tmp_path / "closed")))

    def leave(pool):
        original(pool)
        path.touch()

    original = MPIPool._leave
    monkeypatch.setattr(MPIPool, "_leave", leave)
    arrays = [np.full(300_000, i) for i in range(5)]
    with joblib_pool(world) as pool:
        if pool is not None:
            with parallel_config("mpiapps", n_jobs=-1):
                sums = Parallel(
                    batch_size=1, pre_dispatch="all", return_as="generator"
                )(
                    delayed(sum_when)(arrays[i % 5], path if i else tmp_path)
                    for i in range(60)
                )
                next(sums)
    if world.is_root:
        assert list(sums) == [300_000 * (i % 5) for i in range(1, 60)]
        assert world.size <= 2 or len(sent) > len(arrays) * (world.size - 1)


def test_a_worker_keeps_the_arrays_of_its_latest_batch_and_few_others(monkeypatch):
    monkeypatch.setattr(sent_arrays, "MAX_KEPT_BYTES", 2500)
    kept = sent_arrays.KeptArrays()
    for number, size in enumerate((1000, 1000, 1000, 4000)):
        kept.add(number, np.zeros(size, np.uint8))
        kept.find(number)
        if number < 3:
            kept.find(0)  # by each batch
        kept.trim()
    assert kept.nbytes == 4000
    kept.add(4, np.zeros(10, np.uint8))
    kept.find(4)
    kept.find(3)
    kept.trim()
    assert kept.nbytes == 4010
    with pytest.raises(sent_arrays.MissingArrayError, match="array 0"):
        kept.find(0)


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
