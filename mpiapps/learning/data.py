"""Samples and targets: from a file, or from a data set that ships with scikit-learn."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mpiapps.base.errors import InputError, naming
from mpiapps.base.named import needed
from mpiapps.base.streams import write_err

Columns = tuple[list[np.ndarray], list[str]]
INDEX = ("", "Unnamed: 0")  # names of a first column by to_csv(), once and once more
SHIPPED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
MADE = re.compile(r"(classification|regression):(\d+)x(\d+)")


def read_data(name: str, target: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples, a row each, and their targets. Local.

    Parameters
    ----------
    name : str
        A .npy, .csv or .parquet file; one of `SHIPPED`; or ``classification:200x20``,
        samples by features, made from `seed`.
    target : str
        The column of the file that is to be found: its name, or its number from 1;
        empty for the last.
    seed : int

    Returns
    -------
    x : ndarray of float64, (samples, features)
    y : ndarray, (samples,)
        Numbers, or texts of classes.

    Raises
    ------
    InputError
        If there is no such data, or it is not numbers.
    ReadWriteError
        If the file cannot be read.
    """
    if made := MADE.fullmatch(name):
        return _made(made[1], int(made[2]), int(made[3]), seed)
    if name in SHIPPED:
        from sklearn import datasets

        x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return np.asarray(x, np.float64), y
    reader = READERS.get(Path(name).suffix)
    if reader is None:
        raise InputError(
            f"{name} is none of {', '.join(SHIPPED)}, classification:ROWSxCOLUMNS,"
            f" regression:ROWSxCOLUMNS, or a {', '.join(READERS)} file"
        )
    try:
        with naming(name, "read"), Path(name).open("rb") as stream:
            columns, names = reader(stream)
    except (ValueError, EOFError) as error:
        raise InputError(f"cannot read {name}: {error}") from error
    return _parted(columns, names, target, name)


def _made(
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
    found = np.load(stream, allow_pickle=False)
    if found.ndim != 2:
        raise ValueError(f"it has {found.ndim} dimensions, not rows and columns")
    return list(found.T), [str(i + 1) for i in range(found.shape[1])]


def _csv(stream: BinaryIO) -> Columns:
    csv = needed("pyarrow.csv", "files", "reading CSV")
    table = csv.read_csv(stream)
    if _is_data(table.column_names):
        stream.seek(0)
        options = csv.ReadOptions(autogenerate_column_names=True)
        table = csv.read_csv(stream, read_options=options)
        table = table.rename_columns([str(i + 1) for i in range(table.num_columns)])
    first, *others = table.column_names or [""]
    if first in INDEX and all(others):
        write_err(
            f"mpiapps: note: the first column of {stream.name}, {first!r}, is taken for"
            " an index that pandas wrote, not for a feature; give it a name if it is\n"
        )
        table = table.drop_columns([first])
    return _columns(table)


def _is_data(names: list[str]) -> bool:
    """Return whether a first line is no header: it has fractions, or numbers alone.

    The names that pandas gives to columns without one, 0, 1, 2 and so on, are a header.
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
    table = needed("pyarrow.parquet", "files", "reading Parquet").read_table(stream)
    # Rows' numbers or names that pandas stored with them are no features.
    index = (table.schema.pandas_metadata or {}).get("index_columns", [])
    stored = [each for each in index if isinstance(each, str)]
    return _columns(table.drop_columns(stored))


def _columns(table: Any) -> Columns:
    found = [column.to_numpy() for column in table.columns]
    return found, list(table.column_names)


SEVERAL = (np.ndarray, list, dict)  # what Arrow makes of nested types
READERS = {".npy": _npy, ".csv": _csv, ".parquet": _parquet}


def _nan(y: np.ndarray) -> bool:
    return y.dtype.kind == "f" and bool(np.isnan(y).any())


def _parted(
    columns: list[np.ndarray], names: list[str], target: str, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return features and target."""
    listed = ", ".join(names[:20])
    if not target:
        at = len(names) - 1  # -1 if there is none
    elif target in names:
        at = names.index(target)
    elif target.isdigit() and 1 <= int(target) <= len(names):
        at = int(target) - 1
    else:
        raise InputError(f"{name} has no column {target!r}; it has {listed}")
    if len(columns) < 2 or not len(columns[at]):
        raise InputError(f"{name} has no samples with features: only {listed}")
    y, sought = columns.pop(at), names[at]
    names = names[:at] + names[at + 1 :]
    for column, title in zip(columns, names, strict=True):
        if column.dtype.kind not in "biuf":
            raise InputError(
                f"{name}: column {title} holds {column.dtype}, not numbers; encode it"
                " first, or take it out of the file, or is it the --target?"
            )
    if y.dtype.kind == "O" and any(isinstance(v, SEVERAL) for v in y):
        raise InputError(f"{name}: column {sought}, the target, holds no single values")
    if any(each is None or each == "" for each in y.tolist()) or _nan(y):
        raise InputError(f"{name}: column {sought}, the target, has gaps; fill them")
    if y.dtype.kind not in "biuf":
        y = y.astype(str)
    return np.column_stack(columns).astype(np.float64), y
