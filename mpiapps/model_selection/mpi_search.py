"""The searches of scikit-learn on ranks: grid, randomised, and by halving.

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
import inspect
from collections.abc import Mapping
from typing import Any

import cloudpickle
from joblib import parallel_config
from sklearn.base import BaseEstimator, clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - its import defines Halving...
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
)
from sklearn.utils import indexable

from mpiapps.comm.consistency import raise_together
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.comm.shared import share_object
from mpiapps.comm.world import World
from mpiapps.tasks.joblib_backend import NAME, joblib_pool

# What `sklearn.clone` copies besides parameters.
CONFIGURATION = ("_metadata_request", "_sklearn_output_config")


def _with_comm(search: Any) -> Any:
    """Return the constructor of a class of scikit-learn, with `comm` as well.

    scikit-learn reads the parameters of an estimator from the signature.
    """

    def construct(self: Any, *args: Any, comm: Ranks | None = None, **own: Any) -> None:
        search.__init__(self, *args, **own)
        self.comm = comm

    own = inspect.signature(search.__init__).parameters.values()
    comm = inspect.Parameter("comm", inspect.Parameter.KEYWORD_ONLY, default=None)
    constructor: Any = construct
    constructor.__signature__ = inspect.Signature([*own, comm])
    return constructor


# To mypy a class of scikit-learn, which has no types, is `Any`: three bases here.
class _OnRanks(BaseEstimator):  # type: ignore[misc]
    """A search whose fits run on the ranks of `comm`."""

    comm: Ranks | None

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:  # noqa: N803 - callers of scikit-learn pass `X=`
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
        fit = super().fit
        comm = None if self.comm is None else communicator(self.comm)
        if comm is None or comm.size == 1:
            fit(X, y, **params)
            return self
        data = [X, y]
        with raise_together(comm):
            if comm.rank == 0:  # what scikit-learn would convert is shared converted
                data = indexable(X, y)
        error: Exception | None = None
        with (
            World(comm) as world,
            share_object(world, data) as (x, targets),
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
            self.__dict__.update(with_fit)
        return self

    def __sklearn_clone__(self) -> Any:
        """Return an unfitted copy, on the same ranks: a communicator is not copied."""
        parameters = self.get_params(deep=False)
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
        return {**super().__getstate__(), "comm": None}


def _fitted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes that fitting sets."""
    return {
        name: value
        for name, value in attributes.items()
        if name.endswith("_") and not name.startswith("_")
    }


class MPIGridSearchCV(_OnRanks, GridSearchCV):  # type: ignore[misc]  # see `_OnRanks`
    """`sklearn.model_selection.GridSearchCV` on ranks, with the same bits.

    Its parameters are those of `GridSearchCV`, where `n_jobs` is the number of ranks
    that work, all by default, and:

    Parameters
    ----------
    comm : communicator or World, optional
        The ranks, which call `fit` together; without it this process alone.

    Notes
    -----
    Rank 0 sends fits and executes none, unless it is alone: P ranks are P - 1 workers.
    The bits are those of one thread per process: set ``OMP_NUM_THREADS=1``, as
    `open_world` and job scripts do, where results depend on the number of threads.
    """

    __init__ = _with_comm(GridSearchCV)


class MPIRandomizedSearchCV(_OnRanks, RandomizedSearchCV):  # type: ignore[misc]  # see `_OnRanks`
    """`sklearn.model_selection.RandomizedSearchCV` on ranks; as `MPIGridSearchCV`."""

    __init__ = _with_comm(RandomizedSearchCV)


class MPIHalvingGridSearchCV(_OnRanks, HalvingGridSearchCV):  # type: ignore[misc]  # see `_OnRanks`
    """`sklearn.model_selection.HalvingGridSearchCV` on ranks; as `MPIGridSearchCV`."""

    __init__ = _with_comm(HalvingGridSearchCV)


class MPIHalvingRandomSearchCV(_OnRanks, HalvingRandomSearchCV):  # type: ignore[misc]  # see `_OnRanks`
    """`sklearn.model_selection.HalvingRandomSearchCV` on ranks."""

    __init__ = _with_comm(HalvingRandomSearchCV)
