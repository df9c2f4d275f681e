"""`GridSearchCV` and `RandomizedSearchCV` of scikit-learn on ranks.

::

    with open_world() as world:
        search = MPIGridSearchCV(SVC(), {"C": [1, 10]}, comm=world)
        search.fit(x, y)  # on all ranks
        if world.is_root:
            print(search.best_params_)

They are subclasses of scikit-learn's classes, one for each, rather than one class with
a search space of either kind: parameters, attributes, errors and `cv_results_` are
scikit-learn's own, also in versions to come, and only the execution of fits is ours.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import cloudpickle
from joblib import parallel_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.utils import indexable

from mpiapps.comm.consistency import raise_together
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.comm.shared import share_object
from mpiapps.comm.world import World
from mpiapps.tasks.joblib_backend import NAME, joblib_pool

# What `sklearn.clone` copies besides parameters.
CONFIGURATION = ("_metadata_request", "_sklearn_output_config")


class _OnRanks:
    """A search whose fits run on the ranks of `comm`."""

    comm: Ranks | None

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:  # noqa: N803
        """Run all fits, and refit the best candidate. Collective over `comm`.

        Parameters
        ----------
        X, y
            As for scikit-learn; those of rank 0 count, and other ranks may pass `None`.
            Each host has one read-only copy of their arrays.
        **params
            Those of rank 0 count.

        Returns
        -------
        self
            Fitted, on all ranks.

        Raises
        ------
        Exception
            On all ranks: what scikit-learn raises on rank 0.
        """
        fit = super().fit  # type: ignore[misc]
        comm = None if self.comm is None else communicator(self.comm)
        if comm is None or comm.size == 1:
            fit(X, y, **params)
            return self
        with raise_together(comm):
            if comm.rank == 0:  # what scikit-learn would convert is shared converted
                X, y = indexable(X, y)  # noqa: N806 - scikit-learn's name
        error: Exception | None = None
        with (
            World(comm) as world,
            share_object(world, (X, y)) as (x, targets),
            joblib_pool(world, (x, targets)) as pool,
        ):
            if pool is not None:
                try:
                    with parallel_config(NAME, n_jobs=-1):
                        fit(x, targets, **params)
                except Exception as raised:
                    error = raised
        state = b""
        with raise_together(comm):
            if error is not None:
                raise error
            if comm.rank == 0:
                state = cloudpickle.dumps(_fitted(vars(self)))
        state = comm.bcast(state)
        if comm.rank:
            with_fit = cloudpickle.loads(state)
            for name in _fitted(vars(self)):
                delattr(self, name)
            vars(self).update(with_fit)
        return self

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted copy, on the same ranks: a communicator is not copied."""
        parameters = self.get_params(deep=False)  # type: ignore[attr-defined]
        other = type(self)(
            **{
                name: value if name == "comm" else clone(value, safe=False)
                for name, value in parameters.items()
            }
        )
        for name in CONFIGURATION:
            if hasattr(self, name):
                setattr(other, name, copy.deepcopy(getattr(self, name)))
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: another process has no such communicator."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment]
        return {**state, "comm": None}


def _fitted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that fitting sets."""
    return {
        name: value
        for name, value in attributes.items()
        if name.endswith("_") and not name.startswith("_")
    }


class MPIGridSearchCV(_OnRanks, GridSearchCV):  # type: ignore[misc]
    """`sklearn.model_selection.GridSearchCV` on ranks, with the same bits.

    Parameters
    ----------
    estimator, param_grid, scoring, n_jobs, refit, cv, verbose, pre_dispatch
        As for `GridSearchCV`; `n_jobs` is the number of ranks that work, all by
        default.
    error_score, return_train_score
        As for `GridSearchCV`.
    comm : communicator or World, optional
        The ranks, which call `fit` together; without it this process alone.

    Notes
    -----
    Rank 0 sends fits and executes none, unless it is alone: P ranks are P - 1 workers.
    The bits are those of one thread per process: set ``OMP_NUM_THREADS=1``, as
    `open_world` and job scripts do, where results depend on the number of threads.
    """

    def __init__(  # noqa: PLR0913 - those of GridSearchCV
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        error_score: Any = float("nan"),
        return_train_score: bool = False,
        comm: Ranks | None = None,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.comm = comm


class MPIRandomizedSearchCV(_OnRanks, RandomizedSearchCV):  # type: ignore[misc]
    """`sklearn.model_selection.RandomizedSearchCV` on ranks, with the same bits.

    Parameters
    ----------
    estimator, param_distributions, n_iter, scoring, n_jobs, refit, cv, verbose
        As for `RandomizedSearchCV`; see `MPIGridSearchCV`.
    pre_dispatch, random_state, error_score, return_train_score
        As for `RandomizedSearchCV`.
    comm : communicator or World, optional
        The ranks, which call `fit` together; without it this process alone.
    """

    def __init__(  # noqa: PLR0913 - those of RandomizedSearchCV
        self,
        estimator: Any,
        param_distributions: Any,
        *,
        n_iter: int = 10,
        scoring: Any = None,
        n_jobs: int | None = None,
        refit: Any = True,
        cv: Any = None,
        verbose: int = 0,
        pre_dispatch: Any = "2*n_jobs",
        random_state: Any = None,
        error_score: Any = float("nan"),
        return_train_score: bool = False,
        comm: Ranks | None = None,
    ) -> None:
        super().__init__(
            estimator,
            param_distributions,
            n_iter=n_iter,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            random_state=random_state,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.comm = comm
