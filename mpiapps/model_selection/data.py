"""Samples and targets from a file, or from a data set of scikit-learn."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mpiapps.base.errors import InputError, os_errors
from mpiapps.base.optional import import_optional
from mpiapps.base.streams import write_err

Columns = tuple[list[np.ndarray], list[str]]
INDEX_NAMES = ("", "Unnamed: 0")  # of an index written by to_csv(), once or twice
BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
SYNTHETIC = re.compile(r"(classification|regression):(\d+)x(\d+)")


def read_data(name: str, target: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples, one per row, and their targets.

    Parameters
    ----------
    name : str
        A .npy, .csv or .parquet file; one of `BUNDLED`; or ``classification:200x20``,
        samples by features, generated from `seed`.
    target : str
        The target column of the file: its name, or its number from 1; empty for the
        last.
    seed : int

    Returns
    -------
    x : ndarray of float64, (samples, features)
    y : ndarray, (samples,)
        Numbers, or class names.

    Raises
    ------
    InputError
        If there is no such data, or the features are not numbers.
    FileAccessError
        If the file cannot be read.
    """
    if match := SYNTHETIC.fullmatch(name):
        return _generate(match[1], int(match[2]), int(match[3]), seed)
    if name in BUNDLED:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return np.asarray(x, np.float64), y
    reader = READERS.get(Path(name).suffix)
    if reader is None:
        raise InputError(
            f"unknown data {name!r}: expected {', '.join(BUNDLED)},"
            " classification:ROWSxCOLUMNS, regression:ROWSxCOLUMNS, or a"
            f" {', '.join(READERS)} file"
        )
    try:
        with os_errors(name, "read"), Path(name).open("rb") as stream:
            columns, names = reader(stream)
    except (ValueError, EOFError) as error:
        raise InputError(f"cannot read {name}: {error}") from error
    return _split_target(columns, names, target, name)


def _generate(
    kind: str, rows: int, columns: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    make = getattr(datasets, f"make_{kind}")
    try:
        x, y = make(n_samples=rows, n_features=columns, random_state=seed)
    except ValueError as error:
        raise InputError(f"{kind}:{rows}x{columns}: {error}") from error
    return x, y


def _npy(stream: BinaryIO) -> Columns:
    array = np.load(stream, allow_pickle=False)
    if array.ndim != 2:
        raise ValueError(f"{array.ndim} dimensions, expected 2")
    return list(array.T), [str(i + 1) for i in range(array.shape[1])]


def _csv(stream: BinaryIO) -> Columns:
    csv = import_optional("pyarrow.csv", "files", "reading CSV")
    table = csv.read_csv(stream)
    if _is_sample(table.column_names):
        stream.seek(0)
        options = csv.ReadOptions(autogenerate_column_names=True)
        table = csv.read_csv(stream, read_options=options)
        table = table.rename_columns([str(i + 1) for i in range(table.num_columns)])
    first, *others = table.column_names or [""]
    if first in INDEX_NAMES and all(others):
        write_err(
            f"mpiapps: note: the first column of {stream.name}, {first!r}, is skipped"
            " as an index written by pandas; name it if it is a feature\n"
        )
        table = table.drop_columns([first])
    return _columns(table)


def _is_sample(names: list[str]) -> bool:
    """Return whether a first line is a sample: it has fractions, or only numbers.

    The default column names of pandas, 0, 1, 2 and so on, are a header.
    """
    numbers = []
    for name in names:
        with suppress(ValueError):
            if math.isfinite(number := float(name)):  # "inf" and "nan" may be names
                numbers.append(number)
    if any(not number.is_integer() for number in numbers):
        return True
    return len(numbers) == len(names) and numbers != list(range(len(names)))


def _parquet(stream: BinaryIO) -> Columns:
    table = import_optional("pyarrow.parquet", "files", "reading Parquet").read_table(
        stream
    )
    # An index that pandas has stored is not a feature.
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    stored = [name for name in index if isinstance(name, str)]
    return _columns(table.drop_columns(stored))


def _columns(table: Any) -> Columns:
    columns = [column.to_numpy() for column in table.columns]
    return columns, list(table.column_names)


NESTED = (np.ndarray, list, dict)  # values of Arrow's nested types
READERS = {".npy": _npy, ".csv": _csv, ".parquet": _parquet}


def _has_nan(y: np.ndarray) -> bool:
    return y.dtype.kind == "f" and bool(np.isnan(y).any())


def _split_target(
    columns: list[np.ndarray], names: list[str], target: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return features and target."""
    listed = ", ".join(names[:20])
    if not target:
        index = len(names) - 1  # -1 without columns
    elif target in names:
        index = names.index(target)
    elif target.isdigit() and 1 <= int(target) <= len(names):
        index = int(target) - 1
    else:
        raise InputError(f"{name} has no column {target!r}; it has {listed}")
    if len(columns) < 2 or not len(columns[index]):
        raise InputError(f"{name} has no samples with features, only columns {listed}")
    y, target_name = columns.pop(index), names[index]
    names = names[:index] + names[index + 1 :]
    for column, title in zip(columns, names, strict=True):
        if column.dtype.kind not in "biuf":
            raise InputError(
                f"{name}: column {title} holds {column.dtype}, not numbers: encode"
                " it, remove it from the file, or name it as --target"
            )
    if y.dtype.kind == "O" and any(isinstance(v, NESTED) for v in y):
        raise InputError(
            f"{name}: column {target_name}, the target, holds nested values"
        )
    if any(value is None or value == "" for value in y.tolist()) or _has_nan(y):
        raise InputError(
            f"{name}: column {target_name}, the target, has missing values; fill them"
        )
    if y.dtype.kind not in "biuf":
        y = y.astype(str)
    return np.column_stack(columns).astype(np.float64), y
