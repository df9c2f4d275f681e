"""The end of a pool: close, join and terminate as in multiprocessing."""

import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from mpiapps.tasks.mpi_pool import MPIPool

pytestmark = pytest.mark.mpi


def square(x):
    return x * x


def wait_for_file(path):
    while not Path(path).exists():
        time.sleep(0.01)


def test_running_calls_end_after_close(comm):
    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.imap(square, iter(range(1000)))
            assert next(results) == 0
            futures = [pool.submit(square, 3), pool.map_async(square, range(50))]
            with pytest.raises(ValueError, match="call close"):
                pool.join()
            pool.close()
            pool.join()
            assert futures[0].done()
            assert futures[1].ready()
            for call in (pool.map, pool.imap, pool.map_async, pool.submit):
                with pytest.raises(RuntimeError, match="the pool is closed: create"):
                    call(square, [1])
            assert list(results) == [x * x for x in range(1, 1000)]


def test_join_waits_for_callbacks(comm):
    called = []

    def call_back(value):
        time.sleep(0.2)
        called.append(value)

    with MPIPool(comm) as pool:
        if pool is not None:
            pool.apply_async(square, (3,), callback=call_back)
            pool.map_async(square, [1, 2], callback=call_back)
            pool.submit(square, 4).add_done_callback(lambda f: call_back(f.result()))
            pool.close()
            pool.join()
            assert sorted(called, key=str) == [16, 9, [1, 4]]


def test_terminate_drops_what_has_not_started(comm, tmp_path):
    path = comm.bcast(str(tmp_path / "go"))
    with MPIPool(comm) as pool:
        if pool is not None:
            results = pool.imap(square, range(1000))
            assert next(results) == 0
            waiting = []
            if comm.size > 1:  # else a future is done when it is returned
                waiting = [pool.submit(wait_for_file, path) for _ in range(999)]
            pool.terminate()
            Path(path).touch()
            pool.join()
            assert comm.size == 1 or waiting[-1].cancelled()
            for future in waiting:
                assert future.done()
            with pytest.raises(RuntimeError, match="the pool was terminated"):
                list(results)
            with pytest.raises(RuntimeError, match="the pool was terminated"):
                pool.map(square, [1])
            if waiting:
                with pytest.raises(CancelledError):
                    waiting[-1].result()
