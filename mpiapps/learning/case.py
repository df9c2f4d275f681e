"""What all fits of a run have in common, and one fit."""

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
from mpiapps.base.named import named
from mpiapps.comm.packing import attempt, reason
from mpiapps.learning.space import Candidate


@dataclass(frozen=True)
class Fit:
    """What came of one fit.

    Attributes
    ----------
    number : int
        ``candidate * folds + fold``.
    score : float or None
        None if it failed.
    seconds : float
    why : str
        The error, if it failed; else empty.
    warned : str
        The first warning, if there was one.
    """

    number: int
    score: float | None
    seconds: float
    why: str = ""
    warned: str = ""


@dataclass(frozen=True)
class Case:
    """Samples, folds, and what is tried on them. The same on all ranks and workers.

    Attributes
    ----------
    x : ndarray, (samples, features)
    y : ndarray, (samples,)
    fold : ndarray of int64, (samples,)
        The fold in whose test each sample is.
    folds : int
    estimator : str
        ``module:Class`` of scikit-learn's interface.
    candidates : list of dict
        Parameters to set.
    scoring : str
        A name of scikit-learn's; empty for the estimator's own.
    seed : int
        For each parameter ``random_state`` that is not set.
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
        """The bytes of its arrays."""
        return self.x.nbytes + self.y.nbytes + self.fold.nbytes

    @cached_property
    def digest(self) -> str:
        """What it is, candidates apart: fits of another are of no use here."""
        import sklearn

        found = hashlib.sha256()
        for array in (self.x, self.y, self.fold):
            found.update(f"{array.dtype.str}{array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        words = self.estimator, self.scoring, self.seed, sklearn.__version__
        found.update(repr(words).encode())
        return found.hexdigest()

    def key(self, number: int) -> str:
        """Return by what a fit is known again: its parameters and its fold."""
        candidate, fold = divmod(number, self.folds)
        return json.dumps(
            [self.candidates[candidate], fold], sort_keys=True, default=str
        )

    def fit(self, number: int) -> Fit:
        """Fit one candidate without one fold, and score it on that fold.

        Whatever the estimator does, `sys.exit` included, fails this fit alone; signals
        that ask the process to end are raised.
        """
        start = time.perf_counter()
        with heard() as caught:
            done, value = attempt(self._fit, *divmod(number, self.folds))
        if not done:
            why = reason(value)
        else:
            why = "" if np.isfinite(value) else f"the score is {value}"
        warned = caught[0].partition("\n")[0] if caught else ""
        seconds = time.perf_counter() - start
        return Fit(number, None if why else value, seconds, why, warned)

    def _fit(self, candidate: int, fold: int) -> float:
        """Return the score of a fit; raise whatever the estimator raises."""
        test = self.fold == fold
        model = self.model(self.candidates[candidate])
        one_thread()
        with _alone if shares_generator(model) else nullcontext():
            model.fit(self.x[~test], self.y[~test])
        return self._score(model, self.x[test], self.y[test])

    def model(self, candidate: Candidate) -> Any:
        """Return the estimator with its parameters, and each generator seeded.

        Raises
        ------
        InputError
            If it has no such parameter, or is no estimator.
        """
        try:
            model = named(self.estimator, "Class")()
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
                f"{self.estimator}: {error}; name a class of scikit-learn's interface,"
                " or a function without arguments that returns such an object"
            ) from error

    def _score(self, model: Any, x: np.ndarray, y: np.ndarray) -> float:
        from sklearn.metrics import check_scoring

        scorer = check_scoring(model, scoring=self.scoring or None)
        return float(scorer(model, x, y))


_alone = threading.Lock()


def shares_generator(model: Any) -> bool:
    """Return whether fits of `model` side by side in one process change each other.

    libsvm and liblinear, which scikit-learn carries, draw from one generator of the
    process, without Python's lock (sklearn/svm/src/newrand/newrand.h).
    """
    return any(
        type(part).__module__.startswith("sklearn.svm")
        or getattr(part, "solver", None) == "liblinear"
        for part in (model, *model.get_params().values())
    )


class _Here(threading.local):
    """What each thread has for itself, as fits may run side by side."""

    limited = False
    texts: list[str] | None = None


_here = _Here()


def one_thread() -> None:
    """Let BLAS and OpenMP use one thread for this one from now on. Local.

    Fits run side by side, and sums in another order have other last bits.
    """
    if not _here.limited:
        from threadpoolctl import ThreadpoolController

        ThreadpoolController().limit(limits=1)
        _here.limited = True


@contextmanager
def heard() -> Iterator[list[str]]:
    """Yield the list that gets this thread's warnings in the ``with`` block. Local.

    `warnings.catch_warnings` is of the whole process, and no good for threads.
    """
    if warnings.showwarning is not _hear:
        _before[:] = [warnings.showwarning]
        warnings.showwarning = _hear
    warnings.simplefilter("always")
    found: list[str] = []
    _here.texts = found
    try:
        yield found
    finally:
        _here.texts = None


_before: list[Any] = []


def _hear(message: Warning | str, *where: Any, **more: Any) -> None:
    if _here.texts is not None:
        _here.texts.append(str(message))
    else:
        _before[0](message, *where, **more)


def _see_score(model: Any, scoring: str) -> None:
    """Refuse a score that there is not, before anything is fitted."""
    from sklearn.metrics import check_scoring, get_scorer_names

    names = get_scorer_names()
    if scoring and scoring not in names:
        near = difflib.get_close_matches(scoring, names) or names
        raise InputError(f"--scoring {scoring} is none of {', '.join(near)}")
    try:
        check_scoring(model, scoring=scoring or None)
    except TypeError as error:
        raise InputError(f"{error}; choose one by --scoring") from error


def folds_of(case: Case, folds: int, *, shuffle: bool) -> np.ndarray:
    """Return the fold in whose test each sample is. Local.

    As scikit-learn's `LeaveOneOut` if `folds` is 0, else as its `StratifiedKFold` for
    classifiers and its `KFold` for others.

    Raises
    ------
    InputError
        If there are too few samples, or no such parameter or score.
    """
    model = case.model(case.candidates[0])
    _see_score(model, case.scoring)
    if folds == 0:
        _see_defined(model, case.scoring, np.arange(len(case.y)))
        return np.arange(len(case.y))
    from sklearn.base import is_classifier
    from sklearn.model_selection import KFold, StratifiedKFold

    kind = StratifiedKFold if is_classifier(model) else KFold
    splitter = kind(folds, shuffle=shuffle, random_state=case.seed if shuffle else None)
    found = np.empty(len(case.y), np.int64)
    try:
        for number, (_, test) in enumerate(splitter.split(case.x, case.y)):
            found[test] = number
    except ValueError as error:
        raise InputError(f"--folds {folds}: {error}") from error
    _see_defined(model, case.scoring, found)
    return found


def _see_defined(model: Any, scoring: str, fold: np.ndarray) -> None:
    """Refuse folds of one sample for a score that needs two."""
    from sklearn.base import RegressorMixin

    own = getattr(type(model), "score", None) is RegressorMixin.score
    if (scoring == "r2" or (own and not scoring)) and np.bincount(fold).min() < 2:
        raise InputError(
            "R2, the score of regressors, needs two samples or more in each fold; give"
            " fewer --folds, or --scoring neg_mean_squared_error"
        )
