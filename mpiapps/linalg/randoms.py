"""Random elements by their place in the matrix."""

from __future__ import annotations

import numpy as np

from mpiapps.comm.cut import Array
from mpiapps.comm.random import Stream
from mpiapps.linalg.layout import Layout


def fill(local: Array, layout: Layout, rank: int, seed: int) -> None:
    """Fill a rank's part with numbers uniform in [-1, 1). Local.

    Element (i, j) is number j of block i of stream 0 under `seed`, its imaginary part
    that of stream 1.
    """
    found = layout.coords(rank)
    if found is None or not local.size:
        return
    rows, runs = layout.rows.indices(found[0]), list(layout.cols.runs(found[1]))
    most = np.nextafter(local.real.dtype.type(1), local.real.dtype.type(0))
    parts = [local.real, local.imag] if local.dtype.kind == "c" else [local]
    for stream, part in enumerate(parts):
        numbers = Stream(seed, stream)
        for place, row in enumerate(rows):
            start = 0
            for run in runs:
                drawn = numbers.uniform(run.start, len(run), block=int(row))
                # Of single precision the next number up is 1 for 16 draws in 2**28.
                part[place, start : start + len(run)] = np.minimum(2 * drawn - 1, most)
                start += len(run)
