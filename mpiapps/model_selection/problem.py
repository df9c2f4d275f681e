"""A cross-validation problem, and one fit of it."""

from __future__ import annotations

import difflib
import hashlib
import json
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.optional import resolve_callable
from mpiapps.comm.pickling import attempt
from mpiapps.comm.pickling import reason as error_text
from mpiapps.model_selection.search_space import Candidate


@dataclass(frozen=True)
class Fit:
    """The outcome of one fit.

    Attributes
    ----------
    number : int
        ``candidate * folds + fold``.
    score : float or None
        None if the fit failed.
    seconds : float
    reason : str
        The error if the fit failed; else empty.
    warned : str
        The first warning; empty without one.
    """

    number: int
    score: float | None
    seconds: float
    reason: str = ""
    warned: str = ""


@dataclass(frozen=True)
class CVProblem:
    """Samples, folds and candidates. The same on all ranks and workers.

    Attributes
    ----------
    x : ndarray, (samples, features)
    y : ndarray, (samples,)
    fold : ndarray of int64, (samples,)
        The fold whose test set contains each sample.
    folds : int
    estimator : str
        ``module:Class`` of a scikit-learn estimator.
    candidates : list of dict
        Parameters of the estimator.
    scoring : str
        The name of a scikit-learn scorer; empty for the estimator's own.
    seed : int
        The value of each ``random_state`` that is not set.
    """

    x: np.ndarray
    y: np.ndarray
    fold: np.ndarray
    folds: int
    estimator: str
    candidates: list[Candidate]
    scoring: str = ""
    seed: int = 0

    def __len__(self) -> int:
        """Return the number of fits."""
        return len(self.candidates) * self.folds

    @property
    def nbytes(self) -> int:
        """The size of the arrays in bytes."""
        return self.x.nbytes + self.y.nbytes + self.fold.nbytes

    @cached_property
    def digest(self) -> str:
        """A SHA-256 of all but the candidates, to recognise recorded fits."""
        import sklearn

        digest = hashlib.sha256()
        for array in (self.x, self.y, self.fold):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        settings = self.estimator, self.scoring, self.seed, sklearn.__version__
        digest.update(repr(settings).encode())
        return digest.hexdigest()

    def key(self, number: int) -> str:
        """Return the identity of a fit in journals: its parameters and its fold."""
        candidate, fold = divmod(number, self.folds)
        return json.dumps(
            [self.candidates[candidate], fold], sort_keys=True, default=str
        )

    def fit(self, number: int) -> Fit:
        """Fit one candidate without one fold, and score it on that fold.

        Any exception of the estimator, also `SystemExit`, fails only this fit; signals
        that terminate the process are raised.
        """
        start = time.perf_counter()
        with captured_warnings() as caught:
            succeeded, value = attempt(self._fit, *divmod(number, self.folds))
        if not succeeded:
            error = error_text(value)
        else:
            error = "" if np.isfinite(value) else f"the score is {value}"
        warned = caught[0].partition("\n")[0] if caught else ""
        seconds = time.perf_counter() - start
        return Fit(number, None if error else value, seconds, error, warned)

    def _fit(self, candidate: int, fold: int) -> float:
        """Return the score of a fit; raise the errors of the estimator."""
        test = self.fold == fold
        model = self._fitted(candidate, self.x[~test], self.y[~test])
        return self._score(model, self.x[test], self.y[test])

    def refit(self, candidate: int) -> Any:
        """Return the estimator with a candidate's parameters, fitted to all samples.

        Raises the errors of the estimator.
        """
        return self._fitted(candidate, self.x, self.y)

    def _fitted(self, candidate: int, x: np.ndarray, y: np.ndarray) -> Any:
        model = self.model(self.candidates[candidate])
        limit_threads()
        with _serial if shares_generator(model) else nullcontext():
            model.fit(x, y)
        return model

    def model(self, candidate: Candidate) -> Any:
        """Return the estimator with the candidate's parameters and a seeded generator.

        Raises
        ------
        InputError
            If it has no such parameter, or is not an estimator.
        """
        try:
            model = resolve_callable(self.estimator, "Class")()
            model.set_params(**candidate)
            states = {
                name: self.seed
                for name, value in model.get_params().items()
                if name.endswith("random_state") and value is None
            }
            return model.set_params(**states)
        except ValueError as error:
            raise InputError(f"{self.estimator}: {error}") from error
        except (TypeError, AttributeError) as error:
            raise InputError(
                f"{self.estimator}: {error}; name an estimator class, or a"
                " function without arguments that returns an estimator"
            ) from error

    def _score(self, model: Any, x: np.ndarray, y: np.ndarray) -> float:
        from sklearn.metrics import check_scoring

        scorer = check_scoring(model, scoring=self.scoring or None)
        return float(scorer(model, x, y))


_serial = threading.Lock()


def shares_generator(model: Any) -> bool:
    """Return whether concurrent fits of `model` in one process affect each other.

    The libsvm and liblinear of scikit-learn share one random generator per process, and
    release the GIL (sklearn/svm/src/newrand/newrand.h).
    """
    return any(
        type(part).__module__.startswith("sklearn.svm")
        or getattr(part, "solver", None) == "liblinear"
        for part in (model, *model.get_params().values())
    )


class _ThreadState(threading.local):
    """State per thread, as fits may run concurrently."""

    limited = False
    texts: list[str] | None = None


_state = _ThreadState()


def limit_threads() -> None:
    """Limit BLAS and OpenMP to one thread, for this thread, from now on.

    Fits run concurrently, and the last bits of sums depend on the number of threads.
    """
    if not _state.limited:
        from threadpoolctl import ThreadpoolController

        ThreadpoolController().limit(limits=1)
        _state.limited = True


@contextmanager
def captured_warnings() -> Iterator[list[str]]:
    """Yield a list that collects this thread's warnings in the ``with`` block.

    `warnings.catch_warnings` affects the whole process, and is not thread-safe.
    """
    if warnings.showwarning is not _show_warning:
        _original[:] = [warnings.showwarning]
        warnings.showwarning = _show_warning
    warnings.simplefilter("always")
    texts: list[str] = []
    _state.texts = texts
    try:
        yield texts
    finally:
        _state.texts = None


_original: list[Any] = []


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    if _state.texts is not None:
        _state.texts.append(str(message))
    else:
        _original[0](message, *args, **kwargs)


def _check_scoring(model: Any, scoring: str) -> None:
    """Raise if the estimator has no such score, before any fit."""
    from sklearn.metrics import check_scoring, get_scorer_names

    names = get_scorer_names()
    if scoring and scoring not in names:
        similar = difflib.get_close_matches(scoring, names) or names
        raise InputError(f"--scoring {scoring}: expected one of {', '.join(similar)}")
    try:
        check_scoring(model, scoring=scoring or None)
    except TypeError as error:
        raise InputError(f"{error}; choose one by --scoring") from error


def assign_folds(problem: CVProblem, folds: int, *, shuffle: bool) -> np.ndarray:
    """Return the fold whose test set contains each sample.

    Splits as scikit-learn's `LeaveOneOut` if `folds` is 0, else as `StratifiedKFold`
    for classifiers and `KFold` for others.

    Raises
    ------
    InputError
        If there are too few samples, or no such parameter or score.
    """
    model = problem.model(problem.candidates[0])
    _check_scoring(model, problem.scoring)
    if folds == 0:
        _check_defined(model, problem.scoring, np.arange(len(problem.y)))
        return np.arange(len(problem.y))
    from sklearn.base import is_classifier
    from sklearn.model_selection import KFold, StratifiedKFold

    splitter_class = StratifiedKFold if is_classifier(model) else KFold
    splitter = splitter_class(
        folds, shuffle=shuffle, random_state=problem.seed if shuffle else None
    )
    fold = np.empty(len(problem.y), np.int64)
    try:
        for number, (_, test) in enumerate(splitter.split(problem.x, problem.y)):
            fold[test] = number
    except ValueError as error:
        raise InputError(f"--folds {folds}: {error}") from error
    _check_defined(model, problem.scoring, fold)
    return fold


def _check_defined(model: Any, scoring: str, fold: np.ndarray) -> None:
    """Raise for folds of one sample if the score needs two."""
    from sklearn.base import RegressorMixin

    own = getattr(type(model), "score", None) is RegressorMixin.score
    if (scoring == "r2" or (own and not scoring)) and np.bincount(fold).min() < 2:
        raise InputError(
            "R2, the score of regressors, needs two samples or more in each fold; use"
            " fewer --folds, or --scoring neg_mean_squared_error"
        )
