"""Conversion of Arrow columns to NumPy arrays, without pandas."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

MAX_EXACT_INTEGER = 2**53  # in float64
MAX_EXACT_POWER = 22  # of ten, in float64


def numbers(column: Any) -> np.ndarray:
    """Return a numeric column as float64, with NaN for nulls.

    Parameters
    ----------
    column : pyarrow.Array or pyarrow.ChunkedArray

    Returns
    -------
    ndarray
        The nearest numbers, equal to Python's ``float(value)``.

    Raises
    ------
    ValueError
        If the column is not numeric.

    Notes
    -----
    Arrow's ``to_numpy`` imports pandas, which takes longer than reading a month of
    trips; its casts refuse integers that are not exact in float64 and do not round
    decimals correctly. Cost: no copy of contiguous float64 without nulls.
    """
    import pyarrow as pa

    kind = column.type
    decimal, boolean = pa.types.is_decimal(kind), pa.types.is_boolean(kind)
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (plain or boolean or decimal):
        raise ValueError(f"the column holds {kind}, not numbers")
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    nulls = column.is_null() if column.null_count else None
    if decimal:
        values = _decimals(column)
    else:
        column = column.cast(pa.uint8()) if boolean else column
        values = np.from_dlpack(column.fill_null(0) if column.null_count else column)
        values = values.astype(np.float64, copy=False)
    if nulls is not None:
        mask = np.from_dlpack(nulls.cast(pa.uint8())).astype(bool)
        values = np.where(mask, np.nan, values)
    return values


def _decimals(column: Any) -> np.ndarray:
    """Return decimals as the nearest float64; the values of nulls are undefined.

    If the integer and the power of ten are exact in float64, one division rounds
    correctly. The others are divided as Python integers, which rounds correctly too.
    """
    width, scale, n = column.type.byte_width, column.type.scale, len(column)
    if n == 0:
        return np.empty(0)
    data = np.frombuffer(column.buffers()[1], np.uint8)
    raw = data[width * column.offset :][: width * n].reshape(n, width)
    parts = raw.view(np.int32).astype(np.int64) if width < 8 else raw.view(np.int64)
    low = parts[:, 0]
    exact = np.all(parts[:, 1:] == (low >> 63)[:, np.newaxis], axis=1)
    exact &= (np.abs(low) <= MAX_EXACT_INTEGER) & (0 <= scale <= MAX_EXACT_POWER)
    power = scale if 0 <= scale <= MAX_EXACT_POWER else 0
    values: np.ndarray = low / np.float64(10**power)
    for k in np.flatnonzero(~exact):
        value = int.from_bytes(raw[k].tobytes(), sys.byteorder, signed=True)
        values[k] = value / 10**scale if scale > 0 else value * 10**-scale
    return values
