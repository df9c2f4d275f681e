"""Tables of samples: columns of arrays, or of a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import InputError, os_errors


class Table:
    """Columns by name. Local.

    Parameters
    ----------
    columns : list of ndarray
    names : list of str
    """

    def __init__(self, columns: list[np.ndarray], names: list[str]) -> None:
        self._columns, self.names = columns, names

    @property
    def rows(self) -> int:
        """The number of samples."""
        return len(self._columns[0]) if self._columns else 0

    def find(self, column: str, taken: Sequence[int], name: str) -> int:
        """Return the index of a column by name or number from 1; empty for the last.

        Raises
        ------
        InputError
            If the file `name` has no such column, or it is one of `taken`.
        """
        listed = ", ".join(self.names[:20])
        if not self.rows or len(self.names) < 2:
            raise InputError(
                f"{name} has no samples with features, only columns {listed}"
            )
        if not column:
            index = max(set(range(len(self.names))) - set(taken), default=0)
        elif column in self.names:
            index = self.names.index(column)
        elif column.isdigit() and 1 <= int(column) <= len(self.names):
            index = int(column) - 1
        else:
            raise InputError(f"{name} has no column {column!r}; it has {listed}")
        if index in taken:
            raise InputError(
                f"{name}: column {self.names[index]} has two uses; name different"
                " columns as --target, --groups and --weights"
            )
        return index

    def column(self, index: int) -> np.ndarray:
        """Return a column."""
        return self._columns[index]

    def features(self, others: Sequence[int], name: str) -> Any:
        """Return all columns but `others`: float32 if none needs more, else float64.

        Raises
        ------
        InputError
            If a column does not hold numbers.
        """
        kept = [n for n in range(len(self.names)) if n not in others]
        for n in kept:
            if self._columns[n].dtype.kind not in "biuf":
                raise InputError(
                    f"{name}: column {self.names[n]} holds {self._columns[n].dtype},"
                    " not numbers: encode it by [[columns]] in --params, choose"
                    " --as-frame, remove it from the file, or name it as --target"
                )
        if not kept:
            return np.empty((self.rows, 0))
        return as_features(np.column_stack([self._columns[n] for n in kept]))


class WithoutNames(Table):
    """Samples and targets of a data set of scikit-learn."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        names = [str(n + 1) for n in range(x.shape[1])]
        super().__init__([*x.T, y], [*names, "target"])


class SparseTable(Table):
    """The columns of a sparse matrix."""

    def __init__(self, matrix: Any) -> None:
        super().__init__([], [str(n + 1) for n in range(matrix.shape[1])])
        self._matrix = matrix

    @classmethod
    def read(cls, name: str) -> SparseTable:
        """Return the matrix of a file of `scipy.sparse.save_npz`.

        Raises
        ------
        FileAccessError, InputError
        """
        from zipfile import BadZipFile

        from scipy import sparse

        try:
            with os_errors(name, "read"), Path(name).open("rb") as stream:
                matrix = sparse.load_npz(stream)
        except (ValueError, EOFError, KeyError, BadZipFile, AttributeError) as error:
            raise InputError(
                f"cannot read {name}: {error}; expected a matrix of"
                " scipy.sparse.save_npz"
            ) from error
        if matrix.dtype.kind not in "biuf" or matrix.ndim != 2:
            raise InputError(
                f"{name} holds {matrix.ndim} dimensions of {matrix.dtype}: expected 2,"
                " of numbers"
            )
        return cls(matrix.tocsc())

    @property
    def rows(self) -> int:
        """The number of samples."""
        return int(self._matrix.shape[0])

    def column(self, index: int) -> np.ndarray:
        """Return a column."""
        column: np.ndarray = self._matrix[:, [index]].toarray().ravel()
        return column

    def features(self, others: Sequence[int], name: str) -> Any:
        """Return all columns but `others` as compressed sparse rows."""
        del name
        kept = [n for n in range(len(self.names)) if n not in others]
        rows = self._matrix[:, kept].tocsr()
        rows.sort_indices()
        return as_features(rows)


def as_features(x: Any) -> Any:
    """Return features as float32 if they are, else as float64."""
    x = x if x.dtype == np.float32 else x.astype(np.float64)
    return np.ascontiguousarray(x) if isinstance(x, np.ndarray) else x
