"""A backend of bench_search.py: runs searches, one after another.

usage: search_peer.py mpiapps|loky|threading|multiprocessing

Reads a cell per line of standard input, as JSON, until `null`; prints the seconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import parallel_config
from search_estimator import Busy
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RepeatedKFold,
    cross_val_score,
)

WORKERS = 2
FEATURES = 50
IDLE_SECONDS = 0.001


def samples(nbytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples of about that size, and their targets."""
    rows = max(40, nbytes // (8 * FEATURES))
    x = np.arange(rows * FEATURES, dtype=np.float64).reshape(rows, FEATURES)
    return x, np.arange(rows) % 2


def grid(cell: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a grid search."""
    return {
        "estimator": Busy(cell["blocks"]),
        "param_grid": {"candidate": list(range(cell["candidates"]))},
        "cv": KFold(cell["folds"]),
        "refit": False,
        "error_score": "raise",
    }


def on_joblib(backend: str, cell: dict[str, Any], x: Any, y: Any) -> None:
    """Run the fits of a cell by a backend of joblib; check their number."""
    with parallel_config(backend, n_jobs=WORKERS):
        if cell["way"] == "search":
            search = GridSearchCV(**grid(cell)).fit(x, y)
            assert len(search.cv_results_["params"]) == cell["candidates"]
        else:
            cv = RepeatedKFold(n_splits=cell["folds"], n_repeats=cell["candidates"])
            scores = cross_val_score(Busy(cell["blocks"]), x, y, cv=cv)
            assert len(scores) == cell["folds"] * cell["candidates"]


def serve(run: Callable[[dict[str, Any], Any, Any], None]) -> None:
    """Run the cells that standard input asks for."""
    while (line := sys.stdin.readline()) and (cell := json.loads(line)) is not None:
        x, y = samples(cell["nbytes"])
        begin = time.perf_counter()
        run(cell, x, y)
        print(json.dumps(time.perf_counter() - begin), flush=True)


def mpiapps() -> None:
    """Run cells on ranks: the root has the searches, the others the fits."""
    from mpiapps.comm import open_world
    from mpiapps.model_selection.mpi_search import MPIGridSearchCV
    from mpiapps.tasks.joblib_backend import joblib_pool

    with open_world() as world:

        def collective(
            cell: dict[str, Any] | None, x: Any = None, y: Any = None
        ) -> Any:
            cell = world.comm.bcast(cell)
            if cell is None:
                return False
            if cell["way"] == "search":
                search = MPIGridSearchCV(**grid(cell), comm=world).fit(x, y)
                assert len(search.cv_results_["params"]) == cell["candidates"]
                return True
            with joblib_pool(world) as pool:
                if pool is not None:
                    on_joblib("mpiapps", cell, x, y)
            return True

        if world.is_root:
            serve(collective)
            collective(None)
        else:
            while collective(None):
                pass


if __name__ == "__main__":
    name = sys.argv[1]
    if name == "mpiapps":
        mpiapps()
    else:
        serve(lambda cell, x, y: on_joblib(name, cell, x, y))
