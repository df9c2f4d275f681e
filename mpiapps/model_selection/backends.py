"""The executors of fits: ranks, workers of Dask, or the workers of joblib on one host.

Scores are the same on all of them. Another package adds one as an entry point of the
group ``mpiapps.backends``: an `mpiapps.tasks.engine.Executor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mpiapps.base.registry import load_extension, registry

if TYPE_CHECKING:
    from mpiapps.tasks.engine import Executor

BACKENDS = registry(
    "backends",
    {
        "mpi": "mpiapps.tasks.executors:counter",
        "dask": "mpiapps.dask_cluster.executor:on_dask",
        "loky": "mpiapps.tasks.joblib_executor:loky",
        "threading": "mpiapps.tasks.joblib_executor:threading",
        "multiprocessing": "mpiapps.tasks.joblib_executor:multiprocessing",
        "ray": "mpiapps.tasks.joblib_executor:ray",
    },
)


def executor_of(backend: str) -> Executor:
    """Return the executor of a backend."""
    executor: Executor = load_extension(backend, BACKENDS[backend])
    return executor
