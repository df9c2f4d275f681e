"""Trips of Parquet files as arrays, by any data set. Without MPI."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.app.arrow import numbers
from mpiapps.base.errors import InputError, os_errors
from mpiapps.kernels.tips import BY_CARD
from mpiapps.taxi_tips.datasets import Columns, Dataset, find_columns

Trips = tuple[np.ndarray, np.ndarray, np.ndarray]  # tips, fares, payments


class TripsFile:
    """A Parquet file of trips.

    Parameters
    ----------
    name : str
    datasets : sequence of Dataset
        Those that the file may belong to.

    Attributes
    ----------
    columns : Columns

    Raises
    ------
    InputError
        If it is not a Parquet file with the columns of a data set, of their types.
    FileAccessError
        If it cannot be read.
    """

    def __init__(self, name: str, datasets: Sequence[Dataset]) -> None:
        from pyarrow import ArrowInvalid, parquet

        self.name = name
        with os_errors(name, "read"):
            Path(name).stat()  # the error of Arrow has no reason
            try:
                # For three columns, read-ahead threads cost more than they save.
                self._file = parquet.ParquetFile(name, pre_buffer=False)
            except ArrowInvalid as error:
                raise InputError(f"cannot read {name}: {error}") from error
        self.columns = find_columns(name, self._file.schema_arrow.names, datasets)
        # Raises for other types. `Schema.empty_table` would import pandas.
        self._arrays(self._file.read_row_groups([], self.columns.names()))

    def row_groups(self) -> range:
        """Return the numbers of its row groups."""
        return range(self._file.num_row_groups)

    def read(self, group: int) -> Trips:
        """Return tips, fares and payments of a row group, each float64.

        A payment is `BY_CARD` if its tip is recorded.
        """
        with os_errors(self.name, "read"):
            table = self._file.read_row_group(
                group, columns=self.columns.names(), use_threads=False
            )
        return self._arrays(table)

    def _arrays(self, table: Any) -> Trips:
        columns, arrays = self.columns, []
        for name in columns.names():
            try:
                column = table.column(name)
                is_payment = name == columns.payment
                arrays.append(
                    _paid_by_card(column, columns) if is_payment else numbers(column)
                )
            except ValueError as error:
                raise InputError(f"{self.name}: {name}: {error}") from error
        tips, fares, *payments = arrays
        if not payments:
            value = float(BY_CARD) if columns.all_by_card else np.nan
            payments = [np.full(len(tips), value)]
        tips = _scaled(tips, columns.tip_unit)
        return tips, _scaled(fares, columns.fare_unit), payments[0]


def row_groups(
    names: Sequence[str], datasets: Sequence[Dataset]
) -> list[tuple[int, int]]:
    """Return file and row group of all row groups; check the columns of all files."""
    files = (TripsFile(name, datasets) for name in names)
    return [(f, group) for f, file in enumerate(files) for group in file.row_groups()]


def _scaled(values: np.ndarray, unit: float) -> np.ndarray:
    return values if unit == 1.0 else values * unit


def _paid_by_card(column: Any, columns: Columns) -> np.ndarray:
    """Return `BY_CARD` for the payments among the codes or texts of `columns`."""
    import pyarrow as pa
    import pyarrow.compute

    kind = column.type
    if pa.types.is_dictionary(kind):
        kind, column = kind.value_type, column.cast(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        among = pa.compute.is_in(column, value_set=pa.array(columns.texts, kind))
        return numbers(among)
    payments = numbers(column)
    if columns.codes == [BY_CARD]:
        return payments
    return np.where(np.isin(payments, columns.codes), float(BY_CARD), np.nan)
