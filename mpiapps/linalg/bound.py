"""The fewest elements that any algorithm can move for a product of matrices."""

from __future__ import annotations

import math


def lower_bound(m: int, n: int, k: int, size: int) -> float:
    """Return how many elements some rank must send or receive. Local; no messages.

    For ``C[m, n] = A[m, k] B[k, n]`` by classical products on `size` ranks that keep
    one copy of everything, evenly, before and after (Al Daas, Ballard, Grigori, Kumar,
    Rouse: Tight memory-independent parallel matrix multiplication communication lower
    bounds, SPAA 2022).
    """
    a, b, c = sorted((m, n, k), reverse=True)
    if min(a, b, c) == 0:
        return 0.0
    if size * b <= a:
        reached = (a * b + a * c) / size + b * c
    elif size * c * c <= a * b:
        reached = a * b / size + 2 * math.sqrt(a * b * c * c / size)
    else:
        reached = 3 * (a * b * c / size) ** (2 / 3)
    return max(0.0, reached - (m * n + m * k + k * n) / size)
