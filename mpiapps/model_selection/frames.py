"""Samples as a data frame of pandas: columns with names, also of text.

Text is stored as categories, numbers as numbers: both are arrays that the ranks of a
host share, which Python strings are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.optional import import_optional

if TYPE_CHECKING:
    from mpiapps.model_selection.tables import Table


def as_frame(table: Table, others: list[int], name: str) -> Any:
    """Return all columns but `others` as a data frame.

    Parameters
    ----------
    table : Table
    others : list of int
        Columns that are not features.
    name : str
        The file, for errors.

    Returns
    -------
    DataFrame, (samples, features)
        Numbers as they are, logical values as 0.0 and 1.0, and text as categories in
        lexical order. Cells without a value are NaN, as are empty texts.

    Raises
    ------
    InputError
        If a column holds neither numbers nor text, or two have the same name.
    LaunchError
        If pandas is not installed.
    """
    pandas = import_optional("pandas", "frames", "samples as a data frame")
    kept = [n for n in range(len(table.names)) if n not in others]
    names = [table.names[n] for n in kept]
    if twice := [each for each in names if names.count(each) > 1]:
        raise InputError(f"{name}: two columns have the name {twice[0]}")
    columns = {
        table.names[n]: _values(pandas, table.column(n), table.names[n], name)
        for n in kept
    }
    return pandas.DataFrame(columns, index=pandas.RangeIndex(table.rows))


def _values(pandas: Any, column: np.ndarray, title: str, name: str) -> Any:
    if column.dtype.kind in "iuf":
        return column
    values = column.tolist()
    present = [v for v in values if v is not None and v != ""]
    if all(isinstance(value, bool) for value in present):
        return np.array([np.nan if v in (None, "") else float(v) for v in values])
    wrong = [value for value in present if not isinstance(value, str)]
    if wrong:
        raise InputError(
            f"{name}: column {title} holds {type(wrong[0]).__name__}: expected numbers"
            " or text"
        )
    categories = np.array(sorted(set(present)), dtype=object)
    filled = [None if value == "" else value for value in values]
    return pandas.Categorical(filled, categories=categories)


def is_text(column: Any) -> bool:
    """Return whether a column of such a frame holds text."""
    return hasattr(column.dtype, "categories")


def take(x: Any, samples: np.ndarray | slice) -> Any:
    """Return some samples of an array, a sparse matrix or a data frame."""
    return x.iloc[samples] if hasattr(x, "iloc") else x[samples]


def arrays_of(x: Any) -> list[np.ndarray]:
    """Return the arrays in which an array, a sparse matrix or a data frame is held."""
    if isinstance(x, np.ndarray):
        return [x]
    if not hasattr(x, "iloc"):
        return [x.data, x.indices, x.indptr]
    arrays = [np.array(list(map(str, x.columns)), dtype=str)]
    for name in x.columns:
        column = x[name]
        if is_text(column):
            texts = np.array(column.cat.categories.tolist(), dtype=str)
            arrays += [texts, column.cat.codes.to_numpy()]
        else:
            arrays.append(column.to_numpy())
    return arrays
