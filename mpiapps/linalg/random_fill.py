"""Random elements that depend only on their global indices."""

from __future__ import annotations

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.comm.random import Stream
from mpiapps.linalg.layout import Layout


def fill(local: Array, layout: Layout, rank: int, seed: int) -> None:
    """Fill a local block with numbers uniform in [-1, 1). Local.

    Element (i, j) is number j of block i of stream 0 under `seed`, its imaginary part
    that of stream 1.
    """
    coords = layout.coords(rank)
    if coords is None or not local.size:
        return
    rows, runs = layout.rows.indices(coords[0]), list(layout.cols.runs(coords[1]))
    maximum = np.nextafter(local.real.dtype.type(1), local.real.dtype.type(0))
    parts = [local.real, local.imag] if local.dtype.kind == "c" else [local]
    for stream, part in enumerate(parts):
        numbers = Stream(seed, stream)
        for local_row, row in enumerate(rows):
            start = 0
            for run in runs:
                draws = numbers.uniform(run.start, len(run), block=int(row))
                # In single precision, 16 draws in 2**28 would round to 1.
                part[local_row, start : start + len(run)] = np.minimum(
                    2 * draws - 1, maximum
                )
                start += len(run)
