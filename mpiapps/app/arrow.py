"""Columns of Arrow as arrays of NumPy, without pandas."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

EXACT = 2**53  # integers up to here, and powers of ten up to 10**22, are exact
DIGITS = 22


def numbers(column: Any) -> np.ndarray:
    """Return a column of numbers as float64, NaN where there is none. Local.

    Parameters
    ----------
    column : pyarrow.Array or pyarrow.ChunkedArray

    Returns
    -------
    ndarray
        The nearest numbers, as Python's ``float`` has them.

    Raises
    ------
    ValueError
        If it does not hold numbers.

    Notes
    -----
    Arrow's own ``to_numpy`` imports pandas, which takes longer than reading a month of
    trips; its casts refuse integers that are not exact and do not round decimals
    correctly. Cost: no copy of float64 without gaps in one piece.
    """
    import pyarrow as pa

    kind = column.type
    decimal, boolean = pa.types.is_decimal(kind), pa.types.is_boolean(kind)
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (plain or boolean or decimal):
        raise ValueError(f"the column holds {kind}, not numbers")
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    gaps = column.is_null() if column.null_count else None
    if decimal:
        found = _decimals(column)
    else:
        whole = column.cast(pa.uint8()) if boolean else column
        found = np.from_dlpack(whole.fill_null(0) if column.null_count else whole)
        found = found.astype(np.float64, copy=False)
    if gaps is not None:
        empty = np.from_dlpack(gaps.cast(pa.uint8())).astype(bool)
        found = np.where(empty, np.nan, found)
    return found


def _decimals(column: Any) -> np.ndarray:
    """Return the nearest numbers to decimals; anything where there is none.

    Most are an integer and a power of ten that are exact: one division rounds them. The
    others are divided as integers of Python, which rounds correctly, too.
    """
    width, scale, n = column.type.byte_width, column.type.scale, len(column)
    if n == 0:
        return np.empty(0)
    data = np.frombuffer(column.buffers()[1], np.uint8)
    raw = data[width * column.offset :][: width * n].reshape(n, width)
    parts = raw.view(np.int32).astype(np.int64) if width < 8 else raw.view(np.int64)
    low = parts[:, 0]
    exact = np.all(parts[:, 1:] == (low >> 63)[:, np.newaxis], axis=1)
    exact &= (np.abs(low) <= EXACT) & (0 <= scale <= DIGITS)
    found: np.ndarray = low / np.float64(10 ** (scale if 0 <= scale <= DIGITS else 0))
    for k in np.flatnonzero(~exact):
        value = int.from_bytes(raw[k].tobytes(), sys.byteorder, signed=True)
        found[k] = value / 10**scale if scale > 0 else value * 10**-scale
    return found
