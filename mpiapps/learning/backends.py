"""Who does the fits: ranks, workers of Dask, or what joblib has on one host.

Each is a function of a world, a case, the numbers of the fits to do, and this rank's
ledger; collective. Fits are the same whoever does them: a row of `BACKENDS` is all that
a new one needs.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stdout
from itertools import chain, islice
from multiprocessing import active_children
from typing import TYPE_CHECKING, Any

from mpiapps.app.progress import Progress
from mpiapps.base.errors import LaunchError, MpiAppsError
from mpiapps.comm.task import RemoteTraceback
from mpiapps.dasking.watch import Watch
from mpiapps.learning.case import Case, Fit
from mpiapps.learning.child import fit_for
from mpiapps.learning.ledger import Ledger
from mpiapps.learning.room import see_memory

if TYPE_CHECKING:
    from mpiapps.comm.mapper import Mapper
    from mpiapps.comm.world import World

WHAT = "the fits"
LOST = (
    "a worker of {} ended while it had fits, as for lack of memory; give it fewer at a"
    " time (--jobs), or choose --backend dask, which tells which fits ended it; with"
    " --directory the same command goes on from what is done"
)
AS_THEY_COME = {"loky", "threading"}  # where joblib returns results one by one
ROUND = 2.0, 16  # s that a round of fits is to last where it does not; most a worker
IDLE = 0.01  # s between looks of ranks that wait for joblib
FAILURES = "distributed.scheduler.allowed-failures"
AHEAD = 2  # fits for each worker that are begun before they are asked for


class WorkerLost(MpiAppsError):
    """A process that joblib started ended before its fits were done."""


def on_ranks(
    world: World, case: Case, numbers: Sequence[int], ledger: Ledger, jobs: int
) -> None:
    """Let whoever is free take the next: 8 bytes a fit. All ranks do fits."""
    from mpiapps.comm.work import dealing

    del jobs
    share = max(1, len(numbers) / world.size)
    with (
        dealing(world.comm, len(numbers)) as mine,
        Progress(world, share, WHAT, own=True) as bar,
    ):
        for i in mine:
            if ledger.stop():
                break
            ledger.add(case.fit(numbers[i]))
            bar.add(1)


def on_dask(
    world: World, case: Case, numbers: Sequence[int], ledger: Ledger, jobs: int
) -> None:
    """Share fits by a Dask cluster on the ranks; each worker has the case once."""
    from mpiapps.dasking.mapper import DaskTasks, mapper
    from mpiapps.learning.on_worker import HasCase

    del jobs
    # Fits that end their workers are tried again here, and each of them costs restarts.
    setup: dict[str, Any] = {"restarts": sys.maxsize, "settings": {FAILURES: 0}}
    with mapper(world.comm, "dask", deadline=False, **setup) as tasks:
        if isinstance(tasks, DaskTasks):
            workers = tasks.client.scheduler_info(n_workers=-1)["workers"].values()
            see_memory(case.nbytes, [each["memory_limit"] for each in workers])
            tasks.client.register_plugin(HasCase(case))
            ahead = AHEAD * sum(tasks.client.nthreads().values())
            _take(
                world, _on_workers(tasks, numbers, ahead, ledger), len(numbers), ledger
            )


def by_joblib(backend: str) -> Backend:
    """Return the way of a backend of joblib: on the root's host alone."""

    def do(
        world: World, case: Case, numbers: Sequence[int], ledger: Ledger, jobs: int
    ) -> None:
        with _processors_of_host(world) as cores:
            with world.agree():
                if world.is_root:
                    _see_installed(backend)
            if world.is_root:
                found = _by_joblib(backend, jobs or cores, case, numbers, ledger)
                _take(world, found, len(numbers), ledger)
        through = world.comm.Ibarrier()
        while not through.Test():
            time.sleep(IDLE)  # the processors are joblib's

    return do


def _see_installed(backend: str) -> None:
    if backend == "ray" and importlib.util.find_spec("ray") is None:
        raise LaunchError(
            f"--backend ray needs ray: {sys.executable} -m pip install ray, or choose"
            " another backend"
        )


Backend = Callable[["World", Case, Sequence[int], Ledger, int], None]
BACKENDS: dict[str, Backend] = {
    "mpi": on_ranks,
    "dask": on_dask,
    "loky": by_joblib("loky"),
    "threading": by_joblib("threading"),
    "multiprocessing": by_joblib("multiprocessing"),
    "ray": by_joblib("ray"),
}


def _until(numbers: Sequence[int], ledger: Ledger) -> Iterator[int]:
    """Yield the numbers as they are asked for, as long as the run goes on."""
    for number in numbers:
        if ledger.stop():
            return
        yield number


def _on_workers(
    tasks: Mapper, numbers: Sequence[int], ahead: int, ledger: Ledger
) -> Iterator[Fit]:
    """Yield the fits as they come.

    Dask blames all that a worker had to do for its end: those fits are tried again, one
    at a time. What ends its workers then has failed.
    """
    blamed = []
    for fit in _each(tasks, numbers, ahead, ledger):
        if isinstance(fit, Fit):
            yield fit
        else:
            blamed.append(numbers[fit.task])
    for fit in _each(tasks, blamed, 1, ledger):
        if isinstance(fit, Fit):
            yield fit
        else:
            yield Fit(blamed[fit.task], None, 0.0, str(fit).strip().splitlines()[-1])


def _each(
    tasks: Mapper, numbers: Sequence[int], ahead: int, ledger: Ledger
) -> Iterator[Fit | RemoteTraceback]:
    """Yield the fits, or why a worker ended instead."""
    from distributed import KilledWorker

    from mpiapps.learning.on_worker import fit_here

    found = tasks.imap_unordered(fit_here, _until(numbers, ledger), ahead=ahead)
    while True:
        try:
            yield next(found)
        except StopIteration:
            return
        except KilledWorker as error:
            if not isinstance(error.__cause__, RemoteTraceback):
                raise
            yield error.__cause__


def _take(world: World, found: Iterator[Fit], total: int, ledger: Ledger) -> None:
    with Progress(world, max(1, total), WHAT) as progress:
        for fit in found:
            ledger.add(fit)
            progress.add(1)


def _by_joblib(
    backend: str, jobs: int, case: Case, numbers: Sequence[int], ledger: Ledger
) -> Iterator[Fit]:
    """Yield the fits, `jobs` at a time."""
    from joblib import delayed

    here = os.getpid()
    with _configured(backend, jobs), _parallel(backend, jobs) as run, _whole(backend):
        calls = (delayed(fit_for)(case, n, here) for n in _until(numbers, ledger))
        if backend in AS_THEY_COME:
            yield from run(calls)
        else:
            yield from chain.from_iterable(map(run, _rounds(calls, jobs)))


@contextmanager
def _whole(backend: str) -> Iterator[None]:
    """Raise `WorkerLost` if a worker ends while fits are done.

    A pool of multiprocessing has another one then, and waits for the lost fit for ever;
    loky replaces workers as it likes, and tells of those that were lost.
    """
    pool = active_children() if backend == "multiprocessing" else []
    first = {each.pid for each in pool}

    def wrong() -> WorkerLost | None:
        missing = first - {each.pid for each in active_children()}
        return WorkerLost(LOST.format(backend)) if missing else None

    try:
        with Watch(wrong):
            yield
    except BrokenProcessPool as error:  # of loky
        raise WorkerLost(LOST.format(backend)) from error


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

    way = "generator_unordered" if backend in AS_THEY_COME else "list"
    return Parallel(return_as=way, pre_dispatch=AHEAD * jobs)


def _rounds(calls: Iterator[Any], jobs: int) -> Iterator[list[Any]]:
    """Yield some calls at a time, to the end: so many as are done within a while.

    What is asked for is recorded when all of it is done, and stops then.
    """
    seconds, most = ROUND
    size = jobs
    while some := list(islice(calls, size)):
        start = time.monotonic()
        yield some
        each = (time.monotonic() - start) / len(some)
        size = jobs * max(1, min(most, int(seconds / each / jobs)))


@contextmanager
def _configured(backend: str, jobs: int) -> Iterator[None]:
    """Let joblib use the backend in the ``with`` block."""
    from joblib import parallel_config

    if backend != "ray":
        with parallel_config(backend, n_jobs=jobs):
            yield
        return
    import ray
    from ray.util.joblib import register_ray

    # At their 15 they hardly run beside anything else on the host.
    os.environ.setdefault("RAY_worker_niceness", "0")
    with redirect_stdout(io.StringIO()):  # it keeps this one to reset colours at exit
        started = ray.init(
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
