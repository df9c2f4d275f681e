"""Columns of Arrow as arrays of NumPy, without pandas."""

from __future__ import annotations

from typing import Any

import numpy as np


def numbers(column: Any) -> np.ndarray:
    """Return a column of numbers as float64, NaN where there is none. Local.

    Parameters
    ----------
    column : pyarrow.Array or pyarrow.ChunkedArray

    Raises
    ------
    ValueError
        If it does not hold numbers.

    Notes
    -----
    Arrow's own ``to_numpy`` imports pandas, which takes longer than reading a month of
    trips. Cost: no copy of float64 without gaps in one piece.
    """
    import pyarrow as pa

    kind = column.type
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (plain or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)):
        raise ValueError(f"the column holds {kind}, not numbers")
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if column.null_count or not plain:
        column = column.cast(pa.float64()).fill_null(float("nan"))
    return np.from_dlpack(column).astype(np.float64, copy=False)
