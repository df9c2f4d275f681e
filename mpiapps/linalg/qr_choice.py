"""Choice of the algorithm of QR, by estimated time; needs no data."""

from __future__ import annotations

from typing import Any

import numpy as np

from mpiapps.linalg import factorization
from mpiapps.linalg.dtypes import flop_weight
from mpiapps.linalg.product_choice import REDISTRIBUTION_PASSES, Cost

# The algorithms.
TSQR = "TSQR"  # each rank its rows, then the factors of all ranks
WHOLE = "QR on each rank"
PANELS = "QR in panels"  # Householder reflections; columns are distributed
# Reflections are applied at half of the speed of large products, and geqrf of a panel,
# which it reads once for each of its columns, has a sixth of it (measured).
SLOWDOWN, PANEL_SLOWDOWN = 2, 6


def choose_qr(m: int, n: int, size: int, dtype: np.dtype[Any]) -> str:
    """Return the algorithm for QR of m x n with Q on `size` ranks. Local."""
    if size == 1:
        return PANELS
    nb = qr_block(n, size)
    panels, moved = -(-n // nb), m * n
    busy = panel_ranks(n, size)
    reflections = m * n - n * n / 2
    flops = SLOWDOWN * qr_flops(m, n)
    panel_flops = PANEL_SLOWDOWN * 2 * m * n * nb
    merged = SLOWDOWN * (qr_flops(m / size, n) + qr_flops(size * n, n))
    costs = {
        TSQR: Cost(merged + 2 * m / size * n * n, size * n * n, size - 1),
        WHOLE: Cost(flops, moved, size - 1),
        PANELS: Cost(
            # Panels are factorised one after the other, while others are updated.
            max((flops + panel_flops) / busy, panel_flops),
            2 * REDISTRIBUTION_PASSES * moved / busy + 2 * reflections + n * n,
            2 * (size - 1),
        ),
    }
    weight, itemsize = flop_weight(dtype), dtype.itemsize
    seconds = {
        name: cost._replace(flops=cost.flops * weight).seconds(itemsize)
        for name, cost in costs.items()
    }
    seconds[PANELS] += panels * factorization.PANEL_SECONDS
    return min(seconds, key=seconds.__getitem__)


def qr_flops(m: float, n: float) -> float:
    """Return the flops of Q and R of m x n by Householder reflections, m >= n."""
    return 4 * n * n * (m - n / 3)


def qr_block(n: int, size: int) -> int:
    """Return the panel width for QR of n columns on `size` ranks. Local.

    ``n / (4 size)``, so that ranks have four panels, but 16 to 48: products of less
    columns are slow, and geqrf of more.
    """
    return max(1, min(n, 48, max(16, -(-n // (4 * size)))))


def panel_ranks(n: int, size: int) -> int:
    """Return the number of ranks that have panels, if QR is in panels. Local."""
    return max(1, min(size, -(-n // qr_block(n, size))))
