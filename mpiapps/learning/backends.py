"""Who does the fits: ranks, workers of Dask, or what joblib has on one host.

Each is a function of a world, a case, the numbers of the fits to do, and this rank's
ledger; collective. Fits are the same whoever does them: a row of `BACKENDS` is all that
a new one needs.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from mpiapps.app.progress import Progress
from mpiapps.base.errors import LaunchError
from mpiapps.learning.case import Case, Fit
from mpiapps.learning.ledger import Ledger

if TYPE_CHECKING:
    from mpiapps.comm.world import World

WHAT = "the fits"
AS_THEY_COME = {"loky", "threading"}  # where joblib returns results one by one
ROUND = 16  # fits for each worker at once, where it does not
IDLE = 0.01  # s between looks of ranks that wait for joblib
AHEAD = 2  # fits for each worker that are begun before they are asked for


def on_ranks(
    world: World, case: Case, numbers: Sequence[int], ledger: Ledger, jobs: int
) -> None:
    """Let whoever is free take the next: 8 bytes a fit. All ranks do fits."""
    from mpiapps.comm.work import deal_lanes, new_counter

    del jobs
    counter = new_counter(world.comm)
    world.comm.Barrier()  # the timer does not count how late others come
    with Progress(world, max(1, len(numbers) / world.size), WHAT) as progress:
        for i in deal_lanes(world.comm, [range(len(numbers))], "dynamic", counter):
            if ledger.stop():
                break
            ledger.add(case.fit(numbers[i]))
            progress.add(1)
    world.comm.Barrier()  # whoever stopped may hold the counter's memory
    counter.free()


def on_dask(
    world: World, case: Case, numbers: Sequence[int], ledger: Ledger, jobs: int
) -> None:
    """Share fits by a Dask cluster on the ranks; each worker has the case once."""
    from mpiapps.dasking.mapper import DaskTasks, mapper
    from mpiapps.learning.on_worker import HasCase, fit_here

    del jobs
    with mapper(world.comm, "dask", deadline=False) as tasks:
        if isinstance(tasks, DaskTasks):
            tasks.client.register_plugin(HasCase(case))
            ahead = AHEAD * sum(tasks.client.nthreads().values())
            given = _until(numbers, ledger)
            found = tasks.imap_unordered(fit_here, given, ahead=ahead)
            _take(world, found, len(numbers), ledger)


def by_joblib(backend: str) -> Backend:
    """Return the way of a backend of joblib: on the root's host alone."""

    def do(
        world: World, case: Case, numbers: Sequence[int], ledger: Ledger, jobs: int
    ) -> None:
        from joblib import delayed

        if world.is_root:
            with _configured(backend, jobs), _parallel(backend, jobs) as run:
                calls = (delayed(case.fit)(n) for n in _until(numbers, ledger))
                if backend in AS_THEY_COME:
                    found = run(calls)
                else:
                    found = chain.from_iterable(map(run, _rounds(calls, ROUND * jobs)))
                _take(world, found, len(numbers), ledger)
        through = world.comm.Ibarrier()
        while not through.Test():
            time.sleep(IDLE)  # the processors are joblib's

    return do


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


def _take(world: World, found: Iterator[Fit], total: int, ledger: Ledger) -> None:
    with Progress(world, max(1, total), WHAT) as progress:
        for fit in found:
            ledger.add(fit)
            progress.add(1)


def _parallel(backend: str, jobs: int) -> Any:
    """Return joblib's pool."""
    from joblib import Parallel

    way = "generator_unordered" if backend in AS_THEY_COME else "list"
    return Parallel(return_as=way, pre_dispatch=AHEAD * jobs)


def _rounds(calls: Iterator[Any], size: int) -> Iterator[list[Any]]:
    """Yield so many calls at a time, to the end."""
    while some := list(islice(calls, size)):
        yield some


@contextmanager
def _configured(backend: str, jobs: int) -> Iterator[None]:
    """Let joblib use the backend in the ``with`` block."""
    from joblib import parallel_config

    if backend != "ray":
        with parallel_config(backend, n_jobs=jobs):
            yield
        return
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError as error:
        raise LaunchError(
            f"--backend ray: {error}; pip install ray, or choose another backend"
        ) from error
    with redirect_stdout(io.StringIO()):  # it keeps this one to reset colours at exit
        started = ray.init(
            num_cpus=jobs,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    with started:
        register_ray()
        with parallel_config(backend, n_jobs=jobs):
            yield
