"""Steps for some columns, before the estimator: from the TOML file of parameters.

::

    [[columns]]
    select = "text"          # or "number", or a list of names
    steps = [
        {class = "sklearn.impute:SimpleImputer", strategy = "most_frequent"},
        {class = "sklearn.preprocessing:OneHotEncoder", handle_unknown = "ignore"},
    ]
    [[columns]]
    name = "area"            # default: that of the selection
    select = ["width", "height"]
    steps = "passthrough"    # or "drop"

They are a `sklearn.compose.ColumnTransformer`, the step ``columns`` of a pipeline whose
other step is ``model``. "text" and "number" are the columns that no table names.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from mpiapps.base.errors import InputError
from mpiapps.base.optional import resolve_callable
from mpiapps.model_selection.frames import is_text

KINDS = ("text", "number")
KEPT = ("passthrough", "drop")
Step = tuple[str, dict[str, Any]]  # a class, and its parameters


class ColumnSteps(NamedTuple):
    """What happens to some columns.

    Attributes
    ----------
    name : str
        Of the transformer, in names of parameters.
    select : str or list of str
        One of `KINDS`, or columns by their names.
    steps : str or list of Step
        One of `KEPT`, or transformers, one after the other.
    """

    name: str
    select: str | list[str]
    steps: str | list[Step]


def parse_columns(tables: Any, path: str) -> tuple[ColumnSteps, ...]:
    """Return the tables ``[[columns]]`` of a file.

    Raises
    ------
    InputError
        If one is not as above, or two have the same name.
    """
    if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise InputError(f"{path}: columns: expected tables [[columns]]")
    parsed = tuple(_parsed(dict(table), path) for table in tables)
    names = [each.name for each in parsed]
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{path}: two [[columns]] have the name {twice[0]!r}")
    return parsed


def _parsed(table: dict[str, Any], path: str) -> ColumnSteps:
    where = f"{path}: [[columns]]"
    select, steps = table.pop("select", None), table.pop("steps", None)
    listed = isinstance(select, list) and select
    if select not in KINDS and not (listed and all(isinstance(s, str) for s in select)):
        raise InputError(
            f"{where} select = {select!r}: expected {', '.join(map(repr, KINDS))}, or a"
            " list of column names"
        )
    name = table.pop("name", select[0] if listed else select)
    if table or not isinstance(name, str) or not name or "__" in name:
        raise InputError(
            f"{where} expected select, steps and a name without '__', got"
            f" {', '.join(table) or repr(name)}; name it if a column has such a name"
        )
    if steps in KEPT:
        return ColumnSteps(name, select, steps)
    texts = [steps] if isinstance(steps, str) else steps
    if not isinstance(texts, list) or not texts:
        raise InputError(
            f"{where} steps = {steps!r}: expected {', '.join(map(repr, KEPT))}, or a"
            " list of transformers"
        )
    return ColumnSteps(name, select, [_step(step, where) for step in texts])


def _step(step: Any, where: str) -> Step:
    parameters = {"class": step} if isinstance(step, str) else step
    named = isinstance(parameters, dict) and parameters.get("class")
    if not isinstance(named, str) or ":" not in named:
        raise InputError(
            f"{where} step {step!r}: expected 'MODULE:CLASS', or {{class ="
            " 'MODULE:CLASS', parameter = value}"
        )
    return named, {k: v for k, v in parameters.items() if k != "class"}


def select_columns(
    columns: tuple[ColumnSteps, ...], frame: Any, path: str
) -> tuple[ColumnSteps, ...]:
    """Return `columns` with the names of those of a data frame.

    Raises
    ------
    InputError
        If the frame has no such column, or a column is in no table.
    """
    existing = list(frame.columns)
    listed = [name for c in columns if isinstance(c.select, list) for name in c.select]
    for name in listed:
        if name not in existing:
            raise InputError(
                f"{path}: [[columns]] select {name!r}: the features are"
                f" {', '.join(existing[:20])}"
            )
    rest = [name for name in existing if name not in listed]
    by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for name in rest:
        by_kind["text" if is_text(frame[name]) else "number"].append(name)
    selected = {each.select for each in columns if isinstance(each.select, str)}
    missing = [n for kind in KINDS if kind not in selected for n in by_kind[kind]]
    if missing:
        raise InputError(
            f"{path}: no [[columns]] selects {', '.join(missing[:20])}; add a table,"
            ' with steps = "passthrough" or "drop" if nothing is to be done'
        )
    return tuple(
        each._replace(select=by_kind[each.select])
        if isinstance(each.select, str)
        else each
        for each in columns
    )


def with_columns(columns: tuple[ColumnSteps, ...], model: Any) -> Any:
    """Return a pipeline of the steps and an estimator, not fitted.

    Raises
    ------
    InputError
        If a class does not exist, or has no such parameter.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    transformers = [(each.name, _transformer(each), each.select) for each in columns]
    columns_step = ColumnTransformer(transformers)
    return Pipeline([("columns", columns_step), ("model", model)])


def _transformer(columns: ColumnSteps) -> Any:
    from sklearn.pipeline import make_pipeline

    if isinstance(columns.steps, str):
        return columns.steps
    steps = []
    for name, parameters in columns.steps:
        try:
            steps.append(resolve_callable(name, "Class")(**parameters))
        except TypeError as error:
            raise InputError(f"[[columns]] {columns.name}: {name}: {error}") from error
    return make_pipeline(*steps)
