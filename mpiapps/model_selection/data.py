"""Samples and targets from a file, or from a data set of scikit-learn."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from mpiapps.base.errors import InputError, os_errors
from mpiapps.base.optional import import_optional
from mpiapps.base.streams import write_err
from mpiapps.model_selection.frames import as_frame
from mpiapps.model_selection.labels import (
    as_weights,
    labels,
    read_labels,
    side_by_side,
)
from mpiapps.model_selection.tables import SparseTable, Table, WithoutNames

Columns = tuple[list[np.ndarray], list[str]]
Others = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
INDEX_NAMES = ("", "Unnamed: 0")  # of an index written by to_csv(), once or twice
BUNDLED = ("breast_cancer", "diabetes", "digits", "iris", "wine")
SYNTHETIC = re.compile(r"(classification|regression):(\d+)x(\d+)")


class Samples(NamedTuple):
    """Samples, one per row, and what belongs to each.

    Attributes
    ----------
    x : ndarray or csr_array of float64 or float32, or DataFrame, (samples, features)
    y : ndarray, (samples,) or (samples, targets)
        Numbers, or class names.
    groups : ndarray, (samples,), optional
        Numbers or names.
    weights : ndarray of float64, (samples,), optional
        Not negative.
    """

    x: Any
    y: np.ndarray
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None


def read_data(  # noqa: PLR0913 - the options of the program
    name: str,
    target: str,
    seed: int,
    groups: str = "",
    weights: str = "",
    *,
    frame: bool = False,
) -> Samples:
    """Return samples and targets. Local.

    Parameters
    ----------
    name : str
        A .npy, .npz (a sparse matrix of `scipy.sparse.save_npz`), .csv or .parquet
        file; one of `BUNDLED`; or ``classification:200x20``, samples by features,
        generated from `seed`.
    target, groups, weights : str
        A column of the file, by its name or its number from 1, which is not a feature;
        or a .npy file of one value per sample. Target: empty for the last column;
        several columns, with commas, or a .npy file of two dimensions.
    seed : int
    frame : bool
        Whether samples are a data frame of pandas, which may have text.

    Raises
    ------
    InputError
        If there is no such data, or the features are not numbers.
    FileAccessError
        If the file cannot be read.
    """
    table: Table
    if match := SYNTHETIC.fullmatch(name):
        table = WithoutNames(*_generate(match[1], int(match[2]), int(match[3]), seed))
    elif name in BUNDLED:
        from sklearn import datasets

        table = WithoutNames(*getattr(datasets, f"load_{name}")(return_X_y=True))
    else:
        table = _read_table(name)
    others, used = _of_samples(table, target, groups, weights, name)
    x = as_frame(table, used, name) if frame else table.features(used, name)
    if not x.shape[0] or not x.shape[1]:
        listed = ", ".join(table.names[:20])
        raise InputError(f"{name} has no samples with features, only columns {listed}")
    return Samples(x, *others)


def _read_table(name: str) -> Table:
    if Path(name).suffix == ".npz":
        return SparseTable.read(name)
    reader = READERS.get(Path(name).suffix)
    if reader is None:
        raise InputError(
            f"unknown data {name!r}: expected {', '.join(BUNDLED)},"
            " classification:ROWSxCOLUMNS, regression:ROWSxCOLUMNS, or a"
            f" {', '.join([*READERS, '.npz'])} file"
        )
    try:
        with os_errors(name, "read"), Path(name).open("rb") as stream:
            return Table(*reader(stream))
    except (ValueError, EOFError) as error:
        raise InputError(f"cannot read {name}: {error}") from error


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


READERS = {".npy": _npy, ".csv": _csv, ".parquet": _parquet}


def _of_samples(
    table: Table, target: str, groups: str, weights: str, name: str
) -> tuple[Others, list[int]]:
    """Return targets, groups and weights, and which columns they are."""
    used: list[int] = []
    parts: list[np.ndarray | None] = []
    for part, column in (("groups", groups), ("weights", weights), ("target", target)):
        if part != "target" and not column:
            parts.append(None)
        elif column.endswith(".npy"):
            parts.append(read_labels(column, table.rows, part))
        else:
            chosen = []
            for each in _names(column, table) if part == "target" else [column]:
                index = table.find(each, used, name)
                used.append(index)
                title = table.names[index]
                chosen.append(labels(table.column(index), title, part, name))
            parts.append(chosen[0] if len(chosen) == 1 else side_by_side(chosen, name))
    of_groups, of_weights, y = parts
    assert y is not None
    return (y, of_groups, as_weights(of_weights)), used


def _names(target: str, table: Table) -> list[str]:
    """Return the columns of ``--target``; a comma may be part of a name."""
    if "," not in target or target in table.names:
        return [target]
    names = [part.strip() for part in target.split(",")]
    if not all(names):
        raise InputError(f"--target {target}: expected columns with commas between")
    return names
