"""Splits of samples into training and test sets, by scikit-learn or by own code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.optional import resolve_callable
from mpiapps.comm.pickling import attempt, reason
from mpiapps.model_selection.splitters import DEFAULT_FOLDS, PARTITIONS, SPLITTERS


@dataclass(frozen=True)
class Splits:
    """Training and test samples of each split.

    Attributes
    ----------
    indices : ndarray of int64
        If `ends` is empty, the split whose test set has each sample, which is in all
        other training sets: leave-one-out of n samples takes n numbers, not n**2.
        Otherwise training and test samples of one split after the other.
    ends : ndarray of int64, (2 * splits,)
        Where the training and the test samples of each split end in `indices`.
    """

    indices: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, pairs: Iterable[tuple[Any, Any]], samples: int) -> Splits:
        """Return the splits of pairs of training and test indices.

        Raises
        ------
        ValueError
            If a set is empty, or an index is not that of a sample.
        """
        parts = [np.asarray(part, np.int64) for pair in pairs for part in pair]
        if not parts or min(map(len, parts)) == 0:
            raise ValueError("a training or test set has no samples")
        indices = np.concatenate(parts)
        if indices.min() < 0 or indices.max() >= samples:
            raise ValueError(f"indices must be from 0 to {samples - 1}")
        return cls(indices, np.cumsum([len(part) for part in parts]))

    def __len__(self) -> int:
        """Return the number of splits."""
        return len(self.ends) // 2 or int(self.indices.max()) + 1

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of training and test samples of a split."""
        if not len(self.ends):
            test = self.indices == number
            return np.flatnonzero(~test), np.flatnonzero(test)
        start = self.ends[2 * number - 1] if number else 0
        middle, end = self.ends[2 * number : 2 * number + 2]
        return self.indices[start:middle], self.indices[middle:end]

    @property
    def arrays(self) -> list[np.ndarray]:
        """What the splits consist of."""
        return [self.indices, self.ends]

    def smallest_test(self) -> int:
        """Return the number of samples of the smallest test set."""
        if not len(self.ends):
            return int(np.bincount(self.indices).min())
        return int(np.diff(self.ends)[::2].min())


@dataclass(frozen=True)
class NestedSplits:
    """Splits of the training samples of each outer split, then the outer ones.

    Attributes
    ----------
    outer : Splits
    inner : tuple of Splits
        For each outer split, by positions in its training samples, so that inner splits
        of n samples take n numbers if they are a partition.
    """

    outer: Splits
    inner: tuple[Splits | NestedSplits, ...]

    @cached_property
    def _ends(self) -> np.ndarray:
        """The number of splits up to those of each outer fold, and all."""
        return np.cumsum([*map(len, self.inner), len(self.outer)])

    def __len__(self) -> int:
        """Return the number of inner and outer splits."""
        return int(self._ends[-1])

    def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of training and test samples of a split."""
        fold = int(np.searchsorted(self._ends, number, side="right"))
        number -= int(self._ends[fold - 1]) if fold else 0
        if fold == len(self.inner):
            return self.outer[number]
        samples = self.outer[fold][0]
        train, test = self.inner[fold][number]
        return samples[train], samples[test]

    @property
    def arrays(self) -> list[np.ndarray]:
        """What the splits consist of."""
        return [array for each in (self.outer, *self.inner) for array in each.arrays]

    def smallest_test(self) -> int:
        """Return the number of samples of the smallest test set."""
        return min(each.smallest_test() for each in (self.outer, *self.inner))


def make_splits(  # noqa: PLR0913 - the options of the program
    x: Any,
    y: np.ndarray,
    groups: np.ndarray | None,
    *,
    cv: str,
    folds: int,
    repeats: int,
    shuffle: bool,
    seed: int,
    classifier: bool,
) -> Splits:
    """Return the splits that scikit-learn, or the callable of `cv`, makes.

    Parameters
    ----------
    cv : str
        A name of `SPLITTERS`; ``module:name``, a splitter class or a function without
        arguments that returns a splitter or pairs of indices; empty for stratified
        folds of classifiers with one target and plain ones of others, leave-one-out if
        `folds` is 0.
    folds : int
        0 for `DEFAULT_FOLDS`, if `cv` is a name.

    Raises
    ------
    InputError
        If the samples cannot be split in this way.
    """
    if not cv and not folds:
        return Splits(np.arange(len(y)), np.empty(0, np.int64))
    classes = classifier and y.ndim == 1  # as scikit-learn splits several targets
    name = cv or ("stratified" if classes else "kfold")
    if ":" in cv:
        splitter, label = _own_splitter(cv, seed), f"--cv {cv}"
    else:
        if "groups" in SPLITTERS[name][1] and groups is None:
            raise InputError(f"--cv {cv} needs --groups COLUMN")
        groups = groups if "groups" in SPLITTERS[name][1] else None
        options = {"folds": folds or DEFAULT_FOLDS, "repeats": repeats}
        splitter = _splitter(name, options, shuffle=shuffle, seed=seed)
        label = f"--cv {cv}, --folds {folds}" if cv else f"--folds {folds}"
    done, value = attempt(_split, splitter, x, y, groups)
    if not done:
        raise InputError(f"{label}: {reason(value)}") from value
    pairs: list[tuple[np.ndarray, np.ndarray]] = value
    try:
        if name in PARTITIONS:
            return _partition(pairs, len(y))
        return Splits.of(pairs, len(y))
    except (ValueError, TypeError) as error:
        raise InputError(f"{label}: {error}") from error


def _splitter(name: str, options: dict[str, int], *, shuffle: bool, seed: int) -> Any:
    from sklearn import model_selection

    class_name, takes = SPLITTERS[name]
    arguments: dict[str, Any] = {}
    if "folds" in takes:
        arguments["n_splits"] = options["folds"]
    if "repeats" in takes:
        arguments |= {"n_repeats": options["repeats"], "random_state": seed}
    if "shuffle" in takes and shuffle:
        arguments |= {"shuffle": True, "random_state": seed}
    try:
        return getattr(model_selection, class_name)(**arguments)
    except (ValueError, TypeError) as error:
        raise InputError(f"--cv {name}: {error}") from error


def _own_splitter(cv: str, seed: int) -> Any:
    """Return the splitter of ``module:name``, whose generator has the seed."""
    done, splitter = attempt(resolve_callable(cv, "splitter"))
    if not done:
        raise InputError(
            f"--cv {cv}: {reason(splitter)}; name a splitter class, or a function"
            " without arguments that returns a splitter"
        ) from splitter
    if getattr(splitter, "random_state", seed) is None:
        splitter.random_state = seed
    return splitter


def _split(splitter: Any, x: Any, y: np.ndarray, groups: Any) -> list[Any]:
    from sklearn.model_selection import check_cv

    return list(check_cv(splitter, y).split(x, y, groups))


def _partition(pairs: list[tuple[np.ndarray, np.ndarray]], samples: int) -> Splits:
    fold = np.empty(samples, np.int64)
    for number, (_, test) in enumerate(pairs):
        fold[test] = number
    return Splits(fold, np.empty(0, np.int64))
