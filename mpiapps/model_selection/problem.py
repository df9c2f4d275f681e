"""A cross-validation problem, and one fit of it."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.optional import resolve_callable
from mpiapps.comm.pickling import attempt
from mpiapps.comm.pickling import reason as error_text
from mpiapps.model_selection.columns import ColumnSteps, with_columns
from mpiapps.model_selection.fit_environment import (
    captured_warnings,
    limit_threads,
    serial,
    shares_generator,
)
from mpiapps.model_selection.folds import NestedSplits, Splits
from mpiapps.model_selection.frames import arrays_of, take
from mpiapps.model_selection.scoring import SINGLE, check_scoring_defined, scorers
from mpiapps.model_selection.search_space import Candidate


@dataclass(frozen=True)
class Fit:
    """The outcome of one fit.

    Attributes
    ----------
    number : int
        ``candidate * folds + fold``, or the index in `CVProblem.pairs`.
    scores : dict of str to float
        Finite scores by name; empty if the fit failed.
    fit_seconds, score_seconds : float
    reason : str
        The error if the fit failed, or a score is not finite; else empty.
    warned : str
        The first warning; empty without one.
    train_scores : dict of str to float
        Scores on the training samples, if asked for.
    """

    number: int
    scores: dict[str, float]
    fit_seconds: float = 0.0
    score_seconds: float = 0.0
    reason: str = ""
    warned: str = ""
    train_scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class CVProblem:
    """Samples, splits and candidates. The same on all ranks and workers.

    Attributes
    ----------
    x : ndarray, csr_array or DataFrame, (samples, features)
    y : ndarray, (samples,) or (samples, targets)
    splits : Splits or NestedSplits
    estimator : str
        ``module:Class`` of a scikit-learn estimator.
    candidates : list of dict
        Parameters of the estimator.
    scoring : str
        Names of scikit-learn's scorers, or ``module:name``, with commas; empty for the
        estimator's own.
    seed : int
        The value of each ``random_state`` that is not set.
    weights : ndarray of float64, (samples,), optional
        Weights of samples in fits, not in scores, as in scikit-learn.
    train_scores : bool
        Whether fits are scored on their training samples as well.
    resources : list of int
        Samples that fits of each candidate may use; empty: all. They are part of the
        identity of a fit.
    truncate : bool
        Whether a candidate's fits use the first of its samples in each training set;
        otherwise `splits` has been made for them.
    columns : tuple of ColumnSteps
        What happens to columns before the estimator, which is then the last step,
        ``model``, of a pipeline; empty: the estimator alone.
    inner : tuple of int
        In nested cross-validation, the inner splits of each outer fold, which are the
        first of `splits`; the last are the outer ones. Otherwise empty.
    pairs : tuple of (int, int)
        Candidate and split of each fit; empty: each candidate on each split.
    subset : ndarray of int64, optional
        The samples of `x` to which `y` and `splits` refer, in a search without fits.
    """

    x: Any
    y: np.ndarray
    splits: Splits | NestedSplits
    estimator: str
    candidates: list[Candidate]
    scoring: str = ""
    seed: int = 0
    weights: np.ndarray | None = None
    train_scores: bool = False
    resources: list[int] = field(default_factory=list)
    truncate: bool = False
    columns: tuple[ColumnSteps, ...] = ()
    inner: tuple[int, ...] = ()
    pairs: tuple[tuple[int, int], ...] = ()
    subset: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of fits."""
        return len(self.pairs) or len(self.candidates) * self.folds

    def place(self, number: int) -> tuple[int, int]:
        """Return the candidate and the split of a fit."""
        return self.pairs[number] if self.pairs else divmod(number, self.folds)

    @property
    def folds(self) -> int:
        """The number of splits."""
        return len(self.splits)

    def _arrays(self) -> list[np.ndarray]:
        others = [each for each in (self.weights, self.subset) if each is not None]
        parts = [*arrays_of(self.x), self.y, *self.splits.arrays]
        return [*parts, *others]

    @property
    def nbytes(self) -> int:
        """The size of the arrays in bytes."""
        return sum(array.nbytes for array in self._arrays())

    @cached_property
    def digest(self) -> str:
        """A SHA-256 of all but the candidates, to recognise recorded fits."""
        import sklearn

        digest = hashlib.sha256()
        for array in self._arrays():
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        settings = self.estimator, self.scoring, self.seed, sklearn.__version__
        digest.update(repr((settings, self.x.shape)).encode())
        if self.columns:
            digest.update(repr(self.columns).encode())
        return digest.hexdigest()

    def key(self, number: int) -> str:
        """Return the identity of a fit in journals: its parameters and its fold."""
        candidate, fold = self.place(number)
        resource = self.resources[candidate : candidate + 1]
        return json.dumps(
            [self.candidates[candidate], fold, *resource], sort_keys=True, default=str
        )

    def fit(self, number: int) -> Fit:
        """Fit one candidate without one fold, and score it on that fold.

        Any exception of the estimator, also `SystemExit`, fails only this fit; signals
        that terminate the process are raised.
        """
        start = time.perf_counter()
        middle: list[float] = []
        on_train: dict[str, float] = {}
        with captured_warnings() as caught:
            succeeded, value = attempt(
                self._fit_and_score, *self.place(number), middle, on_train
            )
        end = time.perf_counter()
        times = (middle or [end])[0] - start, end - (middle or [end])[0]
        warned = caught[0].partition("\n")[0] if caught else ""
        if not succeeded:
            return Fit(number, {}, *times, error_text(value), warned)
        wrong = {name: score for name, score in value.items() if not np.isfinite(score)}
        finite = {name: score for name, score in value.items() if name not in wrong}
        error = ", ".join(f"the {_label(n)} is {score}" for n, score in wrong.items())
        return Fit(number, finite, *times, error, warned, on_train)

    def _fit_and_score(
        self,
        candidate: int,
        fold: int,
        middle: list[float],
        on_train: dict[str, float],
    ) -> dict[str, float]:
        """Return the scores of a fit; raise the errors of the estimator."""
        train, test = self.splits[fold]
        if self.truncate:
            train = train[: self.resources[candidate]]
        model = self._fitted(candidate, train)
        middle.append(time.perf_counter())
        chosen = scorers(model, self.scoring)

        def scores(samples: np.ndarray) -> dict[str, float]:
            x, y = take(self.x, samples), self.y[samples]
            return {name: float(scorer(model, x, y)) for name, scorer in chosen.items()}

        on_test = scores(test)
        if self.train_scores:
            on_train.update(scores(train))
        return on_test

    def refit(self, candidate: int) -> Any:
        """Return the estimator with a candidate's parameters, fitted to all samples.

        Raises the errors of the estimator.
        """
        return self._fitted(candidate, slice(None))

    def _fitted(self, candidate: int, train: np.ndarray | slice) -> Any:
        model = self.model(self.candidates[candidate])
        limit_threads()
        x, y = take(self.x, train), self.y[train]
        weights = {}
        if self.weights is not None:
            weights[weight_name(model)] = self.weights[train]
        with serial if shares_generator(model) else nullcontext():
            model.fit(x, y, **weights)
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
            if self.columns:
                model = with_columns(self.columns, model)
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

    def check(self) -> None:
        """Raise `InputError` if the estimator cannot be scored or takes no weights."""
        model = self.model(self.candidates[0])
        scorers(model, self.scoring)
        if self.weights is not None:
            weight_name(model)

    def check_defined(self) -> None:
        """Raise `InputError` if a score needs more samples, or fewer targets."""
        model = self.model(self.candidates[0])
        smallest = self.splits.smallest_test()
        check_scoring_defined(model, self.scoring, smallest, self.y)


def _label(name: str) -> str:
    return name if name == SINGLE else f"score {name}"


def weight_name(model: Any) -> str:
    """Return the argument of ``fit`` for weights: a pipeline's is of its last step.

    Raises
    ------
    InputError
        If it takes no weights.
    """
    from sklearn.utils.validation import has_fit_parameter

    steps = getattr(model, "steps", None)
    name, last = steps[-1] if steps else ("", model)
    if not has_fit_parameter(last, "sample_weight"):
        raise InputError(
            f"--weights: {type(last).__name__}.fit takes no sample_weight; use another"
            " estimator, or no weights"
        )
    return f"{name}__sample_weight" if steps else "sample_weight"
