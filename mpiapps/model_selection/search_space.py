"""Candidates: fixed parameters of an estimator, and sampled ones.

::

    [fixed]
    n_estimators = 100
    [search]
    max_depth = [3, 5, 10]
    learning_rate = {low = 1e-3, high = 1.0, log = true}
    min_samples_leaf = {low = 1, high = 20}   # integers, both bounds included
    max_leaf_nodes = {low = 10, high = 1000, log = true}   # integers as well
    class_weight = [{literal = "None"}, {literal = "{0: 1, 1: 5}"}]

Several ``[[search]]`` are alternatives, like a list of spaces in scikit-learn. Python
literals stand for values that TOML does not have: None, numeric keys, tuples.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from mpiapps.base.errors import InputError
from mpiapps.model_selection.columns import ColumnSteps, parse_columns

Candidate = dict[str, Any]
SearchSpace = dict[str, Any]  # lists and intervals, by parameter


def read_space(path: str) -> tuple[Candidate, list[SearchSpace]]:
    """Return the fixed parameters and the search spaces of a TOML file.

    Raises
    ------
    InputError
        If it cannot be read, or is not such a file.
    """
    content = _content(path)
    content.pop("columns", None)
    fixed, search = content.pop("fixed", {}), content.pop("search", [])
    spaces = [search] if isinstance(search, dict) else search
    tables = [fixed, *spaces] if isinstance(spaces, list) else [spaces]
    if content or not all(isinstance(table, dict) for table in tables):
        raise InputError(
            f"{path}: expected only the tables [fixed], [search] or several"
            " [[search]], and [[columns]]"
        )
    fixed, *spaces = (_literal(table, path) for table in tables)
    return fixed, [
        {name: _sampler(name, value, path) for name, value in space.items()}
        for space in spaces
        if space
    ]


def read_columns(path: str) -> tuple[ColumnSteps, ...]:
    """Return the tables ``[[columns]]`` of a TOML file; may be none.

    Raises
    ------
    InputError
        If it cannot be read, or they are not as in `mpiapps.model_selection.columns`.
    """
    return parse_columns(_literal(_content(path).get("columns", []), path), path)


def _content(path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _literal(value: Any, path: str) -> Any:
    """Return a TOML value with its Python literals evaluated, at any depth."""
    if isinstance(value, list):
        return [_literal(item, path) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() != {"literal"}:
        return {name: _literal(item, path) for name, item in value.items()}
    try:
        return ast.literal_eval(value["literal"])
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise InputError(
            f"{path}: {{literal = {value['literal']!r}}} must be a Python literal in"
            ' quotes, such as "None", "(10, 5)" or "{0: 1, 1: 5}"'
        ) from error


class Interval(NamedTuple):
    """Numbers from `low` to `high`: integers, both included, if both are.

    scikit-learn samples it as a distribution of SciPy.
    """

    low: float
    high: float
    log: bool

    def rvs(self, **kwargs: Any) -> Any:
        """Return a sample; called by scikit-learn."""
        return _distribution(self.low, self.high, log=self.log).rvs(**kwargs)


def _sampler(name: str, value: Any, path: str) -> Any:
    """Return a list, or an interval."""
    if isinstance(value, list) and value:
        return value
    if isinstance(value, dict) and {"low", "high"} <= set(value) <= {
        "low",
        "high",
        "log",
    }:
        low, high, log = value["low"], value["high"], bool(value.get("log"))
        numbers = all(isinstance(x, int | float) for x in (low, high))
        if numbers and low < high and (low > 0 or not log):
            return Interval(low, high, log)
    raise InputError(
        f"{path}: {name} = {value}: expected a list, or {{low = 1, high = 10}} with low"
        " below high; with log = true for a log-uniform distribution, low above 0"
    )


def _distribution(low: float, high: float, *, log: bool) -> Any:
    from scipy import stats

    if isinstance(low, int) and isinstance(high, int):
        if log:
            return _Rounded(stats.loguniform(low - 0.5, high + 0.5))
        return stats.randint(low, high + 1)
    if log:
        return stats.loguniform(low, high)
    return stats.uniform(low, high - low)


class _Rounded:
    """A distribution of integers: another one's samples, rounded."""

    def __init__(self, distribution: Any) -> None:
        self._distribution = distribution

    def rvs(self, **kwargs: Any) -> int:
        """Return a sample; called by scikit-learn."""
        return round(float(self._distribution.rvs(**kwargs)))


def candidates(
    fixed: Candidate, search: list[SearchSpace], n_iter: int, seed: int
) -> list[Candidate]:
    """Return the candidates that scikit-learn's `RandomizedSearchCV` samples.

    If all are lists with at most `n_iter` combinations, return each combination once.
    """
    if not search:
        return [fixed]
    from sklearn.model_selection import ParameterGrid, ParameterSampler

    if all(isinstance(value, list) for space in search for value in space.values()):
        grid = ParameterGrid(search)
        if len(grid) <= n_iter:
            return [fixed | combination for combination in grid]
    samples = ParameterSampler(search, n_iter, random_state=seed)
    return [fixed | {k: _plain(v) for k, v in sample.items()} for sample in samples]


def _plain(value: Any) -> Any:
    """Return a NumPy number as a Python number, which JSON supports."""
    return value.item() if hasattr(value, "item") else value
