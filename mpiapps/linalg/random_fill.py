"""Random elements that depend only on their global indices."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.linalg.layout import Layout

CHUNK = 2**15  # numbers at a time, so that they stay in the cache


def fill(local: Array, layout: Layout, rank: int, seed: int) -> None:
    """Fill a local block with numbers uniform in [-1, 1). Local.

    Element (i, j) is number j of block i of stream 0 under `seed`, its imaginary part
    that of stream 1, as `mpiapps.comm.random.Stream.uniform` has them in [0, 1).
    """
    coords = layout.coords(rank)
    if coords is None or not local.size:
        return
    rows = layout.rows.indices(coords[0]).view(np.uint64)
    parts = [local.real, local.imag] if local.dtype.kind == "c" else [local]
    for stream, part in enumerate(parts):
        column = 0
        for run in layout.cols.runs(coords[1]):
            key = np.uint64(seed), np.uint64(stream)
            _fill_columns(key, rows, run, part[:, column : column + len(run)])
            column += len(run)


def _fill_columns(
    key: tuple[np.uint64, np.uint64], rows: Array, columns: range, part: Array
) -> None:
    """Fill a part with the elements of `rows` in adjacent columns."""
    from mpiapps.kernels.philox import FEW_PAIRS, fill_uniform

    # In single precision, 16 numbers in 2**28 would round to 1.
    maximum = np.nextafter(part.dtype.type(1), part.dtype.type(0))
    for start in range(columns.start, columns.stop, CHUNK):
        stop = min(start + CHUNK, columns.stop)
        pairs = range(start // 2, -(-stop // 2))
        step = max(1, CHUNK // (2 * len(pairs)))
        order: Literal["C", "F"] = "F" if len(pairs) < FEW_PAIRS else "C"
        numbers = np.empty((min(step, len(rows)), 2 * len(pairs)), order=order)
        skip = start - 2 * pairs.start
        target = part[:, start - columns.start : stop - columns.start]
        for top in range(0, len(rows), step):
            blocks = rows[top : top + step]
            if len(blocks) < len(numbers):
                numbers = np.empty((len(blocks), 2 * len(pairs)), order=order)
            fill_uniform(*key, np.uint64(pairs.start), blocks, numbers)
            values = numbers[:, skip : skip + stop - start]
            np.minimum(
                values, maximum, out=target[top : top + step], casting="same_kind"
            )
