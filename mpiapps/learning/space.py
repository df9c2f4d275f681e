"""Candidates: an estimator's fixed parameters, and those that are drawn.

::

    [fixed]
    n_estimators = 100
    [search]
    max_depth = [3, 5, 10]
    learning_rate = {low = 1e-3, high = 1.0, log = true}
    min_samples_leaf = {low = 1, high = 20}   # whole numbers, both ends
    max_leaf_nodes = {low = 10, high = 1000, log = true}   # these as well
    class_weight = [{literal = "None"}, {literal = "{0: 1, 1: 5}"}]

Several ``[[search]]`` are alternatives, as scikit-learn has them in a list. What TOML
cannot say is a literal of Python: None, keys that are numbers, tuples.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

from mpiapps.base.errors import InputError

Candidate = dict[str, Any]
Space = dict[str, Any]  # lists and distributions of SciPy, by parameter


def read_space(path: str) -> tuple[Candidate, list[Space]]:
    """Return the fixed parameters and the spaces to search in a TOML file. Local.

    Raises
    ------
    InputError
        If it cannot be read, or says something else.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    fixed, search = content.pop("fixed", {}), content.pop("search", [])
    spaces = [search] if isinstance(search, dict) else search
    tables = [fixed, *spaces] if isinstance(spaces, list) else [spaces]
    if content or not all(isinstance(table, dict) for table in tables):
        raise InputError(
            f"{path} must have [fixed], and [search] or several [[search]], alone, and"
            " be tables"
        )
    fixed, *spaces = (_literal(table, path) for table in tables)
    return fixed, [
        {name: _spread(name, word, path) for name, word in space.items()}
        for space in spaces
        if space
    ]


def _literal(word: Any, path: str) -> Any:
    """Return a value of TOML with the literals of Python that it has, at any depth."""
    if isinstance(word, list):
        return [_literal(each, path) for each in word]
    if not isinstance(word, dict):
        return word
    if word.keys() != {"literal"}:
        return {name: _literal(each, path) for name, each in word.items()}
    try:
        return ast.literal_eval(word["literal"])
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise InputError(
            f"{path}: {{literal = {word['literal']!r}}} must be a literal of Python in"
            ' quotes, such as "None", "(10, 5)" or "{0: 1, 1: 5}"'
        ) from error


def _spread(name: str, word: Any, path: str) -> Any:
    """Return a list, or a distribution of SciPy."""
    if isinstance(word, list) and word:
        return word
    if isinstance(word, dict) and {"low", "high"} <= set(word) <= {
        "low",
        "high",
        "log",
    }:
        low, high, log = word["low"], word["high"], bool(word.get("log"))
        numbers = all(isinstance(x, int | float) for x in (low, high))
        if numbers and low < high and (low > 0 or not log):
            return _distribution(low, high, log=log)
    raise InputError(
        f"{path}: {name} = {word}; give a list, or {{low = 1, high = 10}} with low"
        " below high, for numbers spread by their logarithm log = true, low above 0"
    )


def _distribution(low: float, high: float, *, log: bool) -> Any:
    from scipy import stats

    if isinstance(low, int) and isinstance(high, int):
        if log:
            return _Whole(stats.loguniform(low - 0.5, high + 0.5))
        return stats.randint(low, high + 1)
    if log:
        return stats.loguniform(low, high)
    return stats.uniform(low, high - low)


class _Whole:
    """A distribution of whole numbers: the nearest to those of another."""

    def __init__(self, of: Any) -> None:
        self._of = of

    def rvs(self, **words: Any) -> int:
        """Return one; called by scikit-learn."""
        return round(float(self._of.rvs(**words)))


def candidates(
    fixed: Candidate, search: list[Space], draws: int, seed: int
) -> list[Candidate]:
    """Return what to try: as scikit-learn's RandomizedSearchCV draws it. Local.

    With lists alone, and not more combinations than draws, each combination once.
    """
    if not search:
        return [fixed]
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    if all(isinstance(each, list) for space in search for each in space.values()):
        grid = ParameterGrid(search)
        if len(grid) <= draws:
            return [fixed | each for each in grid]
    drawn = ParameterSampler(search, draws, random_state=seed)
    return [fixed | {k: _plain(v) for k, v in each.items()} for each in drawn]


def _plain(value: Any) -> Any:
    """Return a number of NumPy as Python's, which JSON can hold."""
    return value.item() if hasattr(value, "item") else value
