"""One value per sample: targets, groups, weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mpiapps.base.errors import InputError, os_errors

NESTED = (np.ndarray, list, dict)  # values of Arrow's nested types


def labels(column: np.ndarray, title: str, part: str, name: str) -> np.ndarray:
    """Return a column as numbers or texts, without missing values.

    Parameters
    ----------
    column : ndarray, (samples,)
    title, part, name : str
        The column, what it is ("target", "groups", "weights"), and its file.

    Raises
    ------
    InputError
    """
    where = f"{name}: column {title}, the {part},"
    if column.dtype.kind == "O" and any(isinstance(v, NESTED) for v in column):
        raise InputError(f"{where} holds nested values")
    has_nan = column.dtype.kind == "f" and bool(np.isnan(column).any())
    if has_nan or any(value is None or value == "" for value in column.tolist()):
        raise InputError(f"{where} has missing values; fill them")
    return column if column.dtype.kind in "biuf" else column.astype(str)


def read_labels(path: str, size: int, part: str) -> np.ndarray:
    """Return the values of a .npy file, one for each of `size` samples.

    A target may be several values for each: (samples, targets).

    Raises
    ------
    FileAccessError, InputError
    """
    try:
        with os_errors(path, "read"), Path(path).open("rb") as stream:
            values = np.load(stream, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    several = part == "target" and values.ndim == 2 and values.shape[1] > 0
    if values.shape[:1] != (size,) or not (several or values.ndim == 1):
        raise InputError(
            f"{path} has the shape {values.shape}: expected ({size},), a value of the"
            f" {part} for each sample"
        )
    if not several:
        return labels(values, "1", part, path)
    columns = [labels(v, str(n + 1), part, path) for n, v in enumerate(values.T)]
    return side_by_side(columns, path)


def side_by_side(columns: list[np.ndarray], name: str) -> np.ndarray:
    """Return several targets as one array, (samples, targets).

    Raises
    ------
    InputError
        If some are numbers and others texts.
    """
    texts = [column.dtype.kind == "U" for column in columns]
    if any(texts) and not all(texts):
        raise InputError(
            f"{name}: some targets are numbers and others texts: expected one kind"
        )
    return np.column_stack(columns)


def as_weights(values: np.ndarray | None) -> np.ndarray | None:
    """Return weights as float64.

    Raises
    ------
    InputError
        If they are not numbers, or one is negative or infinite.
    """
    if values is None:
        return None
    if values.dtype.kind not in "biuf":
        raise InputError(f"--weights: expected numbers, got {values.dtype}")
    weights = values.astype(np.float64)
    if not np.isfinite(weights).all() or weights.min() < 0:
        wrong = weights[~np.isfinite(weights) | (weights < 0)][0]
        raise InputError(f"--weights: {wrong} is not a finite number of 0 or more")
    return weights
