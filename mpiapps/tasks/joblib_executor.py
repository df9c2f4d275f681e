"""The executor of the task engine by joblib, on the host of the root alone."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stdout
from functools import partial
from itertools import chain, islice
from multiprocessing import active_children
from typing import TYPE_CHECKING, Any

from mpiapps.app.context import RunContext
from mpiapps.base.errors import LaunchError, MpiAppsError
from mpiapps.base.launch_environment import without_rank_variables
from mpiapps.launch.interrupter import MainThreadInterrupter
from mpiapps.tasks.child_of_rank import run_for_rank
from mpiapps.tasks.engine import Results, Stop, collect, until
from mpiapps.tasks.task_set import Chunks, TaskSet

if TYPE_CHECKING:
    from mpiapps.comm.world import World

WORKER_LOST = (
    "a worker of {} ended while it had {}, possibly for lack of memory; use fewer"
    " workers (--n-jobs), or --backend dask, which reports what kills a worker;"
    " with --directory run the same command to resume"
)
UNORDERED = {"loky", "threading"}  # where joblib returns results one by one
# Elsewhere: s that a round of tasks should last, and the most tasks of a worker in one.
ROUND_SECONDS, MAX_ROUND = 2.0, 16
POLL_SECONDS = 0.01  # between tests of ranks that wait for joblib
AHEAD = 2  # tasks for each worker that are submitted before they are needed


class WorkerLost(MpiAppsError):
    """A process that joblib started ended before its tasks were done."""


def on_joblib(
    ctx: RunContext,
    tasks: TaskSet,
    chunks: Chunks,
    stop: Stop,
    *,
    backend: str,
) -> Results:
    """Yield the results, on the root. Collective."""
    world, numbers = ctx.world, [number for chunk in chunks for number in chunk]
    with _processors_of_host(world) as cores:
        with world.agree():
            if world.is_root:
                _check_installed(backend)
        if world.is_root:
            jobs = tasks.n_jobs or cores
            results = _run(backend, jobs, tasks, until(numbers, stop))
            yield from collect(ctx, tasks, numbers, results)
    barrier = world.comm.Ibarrier()
    while not barrier.Test():
        time.sleep(POLL_SECONDS)  # the processors are joblib's


loky = partial(on_joblib, backend="loky")
threading = partial(on_joblib, backend="threading")
multiprocessing = partial(on_joblib, backend="multiprocessing")
ray = partial(on_joblib, backend="ray")


def _check_installed(backend: str) -> None:
    if backend == "ray" and importlib.util.find_spec("ray") is None:
        raise LaunchError(
            f"--backend ray needs ray: {sys.executable} -m pip install ray, or choose"
            " another backend"
        )


def _run(
    backend: str, jobs: int, tasks: TaskSet, numbers: Iterator[int]
) -> Iterator[tuple[int, Any]]:
    """Yield the results, `jobs` tasks at a time."""
    from joblib import delayed

    pid = os.getpid()
    whole = _whole(backend, tasks.unit)
    with (
        _without_rank_variables(),
        _configured(backend, jobs),  # before the pool, which takes its backend from it
        _parallel(backend, jobs) as run,
        whole,
    ):
        calls = (delayed(run_for_rank)(tasks, n, pid) for n in numbers)
        if backend in UNORDERED:
            yield from run(calls)
        else:
            yield from chain.from_iterable(map(run, _rounds(calls, jobs)))


@contextmanager
def _whole(backend: str, unit: str) -> Iterator[None]:
    """Raise `WorkerLost` if a worker ends while fits are done.

    A pool of multiprocessing has another one then, and waits for the lost fit for ever;
    loky replaces workers as it likes, and reports those that were lost.
    """
    pool = active_children() if backend == "multiprocessing" else []
    first = {each.pid for each in pool}

    def wrong() -> WorkerLost | None:
        missing = first - {each.pid for each in active_children()}
        return WorkerLost(WORKER_LOST.format(backend, unit)) if missing else None

    try:
        with MainThreadInterrupter(wrong):
            yield
    except BrokenProcessPool as error:  # of loky
        raise WorkerLost(WORKER_LOST.format(backend, unit)) from error


@contextmanager
def _without_rank_variables() -> Iterator[None]:
    """Hide the launcher's variables: a worker that loads MPI is not this rank."""
    kept = without_rank_variables(os.environ)
    hidden = {name: value for name, value in os.environ.items() if name not in kept}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _processors_of_host(world: World) -> Iterator[int]:
    """Let each rank use those of all ranks of its host; yield their number. Collective.

    Only one of them works, and what it starts has its processors.
    """
    own = os.sched_getaffinity(0)
    every = set[int]().union(*world.node.allgather(own))
    os.sched_setaffinity(0, every)
    try:
        yield len(every)
    finally:
        os.sched_setaffinity(0, own)


def _parallel(backend: str, jobs: int) -> Any:
    """Return joblib's pool."""
    from joblib import Parallel

    way = "generator_unordered" if backend in UNORDERED else "list"
    return Parallel(return_as=way, pre_dispatch=AHEAD * jobs)


def _rounds(calls: Iterator[Any], jobs: int) -> Iterator[list[Any]]:
    """Yield some calls at a time, to the end: so many as are done within a while.

    What is asked for is recorded when all of it is done, and stops then.
    """
    size = jobs
    while some := list(islice(calls, size)):
        start = time.monotonic()
        yield some
        each = (time.monotonic() - start) / len(some)
        size = jobs * max(1, min(MAX_ROUND, int(ROUND_SECONDS / each / jobs)))


@contextmanager
def _configured(backend: str, jobs: int) -> Iterator[None]:
    """Let joblib use the backend in the ``with`` block."""
    from joblib import parallel_config

    if backend != "ray":
        with parallel_config(backend, n_jobs=jobs):
            yield
        return
    import ray as ray_core
    from ray.util.joblib import register_ray

    # At their 15 they hardly run beside anything else on the host.
    os.environ.setdefault("RAY_worker_niceness", "0")
    with redirect_stdout(io.StringIO()):  # it keeps this one to reset colours at exit
        started = ray_core.init(
            address="local",
            num_cpus=jobs,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    with started:
        register_ray()
        with parallel_config(backend, n_jobs=jobs):
            yield
