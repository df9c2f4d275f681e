"""Lower bound of the communication of a matrix product."""

from __future__ import annotations

import math


def lower_bound(m: int, n: int, k: int, size: int) -> float:
    """Return the elements that at least one rank must send or receive.

    For ``C[m, n] = A[m, k] B[k, n]`` by the classical algorithm on `size` ranks, with
    one copy of A, B and C, evenly distributed before and after (Al Daas, Ballard,
    Grigori, Kumar, Rouse: Tight memory-independent parallel matrix multiplication
    communication lower bounds, SPAA 2022).
    """
    a, b, c = sorted((m, n, k), reverse=True)
    if min(a, b, c) == 0:
        return 0.0
    if size * b <= a:
        accessed = (a * b + a * c) / size + b * c
    elif size * c * c <= a * b:
        accessed = a * b / size + 2 * math.sqrt(a * b * c * c / size)
    else:
        accessed = 3 * (a * b * c / size) ** (2 / 3)
    return max(0.0, accessed - (m * n + m * k + k * n) / size)
