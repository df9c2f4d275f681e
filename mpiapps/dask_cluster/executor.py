"""The executor of the task engine on the workers of a Dask cluster on the ranks."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mpiapps.comm.host_memory import REFERENCES
from mpiapps.dask_cluster.memory_check import check_worker_memory
from mpiapps.tasks.engine import Results, Stop, collect, until
from mpiapps.tasks.task import RemoteTraceback
from mpiapps.tasks.task_set import Chunks, TaskFailure, TaskSet

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.tasks.pool import BasePool

FAILURES = "distributed.scheduler.allowed-failures"
AHEAD = 2  # tasks for each thread of a worker that are submitted before they are needed


def on_dask(ctx: RunContext, tasks: TaskSet, chunks: Chunks, stop: Stop) -> Results:
    """Yield the results, on the root. Collective; each worker gets the tasks once."""
    from mpiapps.dask_cluster.dask_pool import DaskPool, choose_pool
    from mpiapps.dask_cluster.task_worker import TaskPlugin

    numbers = [number for chunk in chunks for number in chunk]
    # A task that ends its worker is tried again here; each time the worker restarts.
    setup: dict[str, Any] = {"restarts": sys.maxsize, "settings": {FAILURES: 0}}
    setup["shared"] = REFERENCES.nbytes
    with choose_pool(ctx.world.comm, "dask", deadline=False, **setup) as pool:
        if not isinstance(pool, DaskPool):
            return
        workers = pool.client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [worker["memory_limit"] for worker in workers]
        check_worker_memory(tasks.nbytes, REFERENCES.nbytes, limits)
        pool.client.register_plugin(TaskPlugin(tasks))
        ahead = AHEAD * sum(pool.client.nthreads().values())
        results = _run(pool, numbers, ahead, stop)
        yield from collect(ctx, tasks, numbers, results)


def _run(
    pool: BasePool, numbers: Sequence[int], ahead: int, stop: Stop
) -> Iterator[tuple[int, Any]]:
    """Yield the results as they come.

    When a worker dies, Dask names all tasks that it had: these are tried again one at a
    time. A task whose workers die then has failed.
    """
    suspects = []
    for number, value in _results(pool, numbers, ahead, stop):
        if isinstance(value, TaskFailure):
            suspects.append(number)
        else:
            yield number, value
    yield from _results(pool, suspects, 1, stop)


def _results(
    pool: BasePool, numbers: Sequence[int], ahead: int, stop: Stop
) -> Iterator[tuple[int, Any]]:
    """Yield the results; of a task whose worker died, why."""
    from distributed import KilledWorker

    from mpiapps.dask_cluster.task_worker import run_on_worker

    results = pool.imap_unordered(
        run_on_worker, until(numbers, stop), max_pending=ahead
    )
    while True:
        try:
            yield next(results)
        except StopIteration:
            return
        except KilledWorker as error:
            cause = error.__cause__
            if not isinstance(cause, RemoteTraceback):
                raise
            number = numbers[cause.task]
            yield number, TaskFailure(number, str(cause).strip().splitlines()[-1])
