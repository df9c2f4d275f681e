"""Block distributions: contiguous blocks of n items for size ranks.

Integer arithmetic without a communicator: every rank computes the same result, also
for n = 0, n < size and n beyond 2**53.
"""

import math
from collections.abc import Sequence
from operator import index


def block(n: int, size: int, rank: int) -> range:
    """Return the block of `range(n)` of `rank`, of `size` ranks.

    Local; no messages. Blocks are contiguous, in rank order, and differ by at most one
    in length: the first ``n % size`` ranks hold one more. This is the usual balanced
    block distribution (as in ScaLAPACK's 1-D case with one block per process).

    Raises
    ------
    ValueError
        If `n` is negative, `size` below 1 or `rank` outside ``range(size)``.
    """
    n, size, rank = index(n), index(size), index(rank)
    _check(n, size)
    if not 0 <= rank < size:
        raise ValueError(f"rank {rank} is not one of the {size} ranks 0 to {size - 1}")
    length, extra = divmod(n, size)
    start = rank * length + min(rank, extra)
    return range(start, start + length + (rank < extra))


def blocks(n: int, size: int) -> list[range]:
    """Return the balanced block of every rank, in rank order. Local; see `block`."""
    return [block(n, size, rank) for rank in range(size)]


def counts_displs(parts: Sequence[range]) -> tuple[list[int], list[int]]:
    """Return MPI's ``counts`` and ``displs`` of contiguous `parts`. Local."""
    return [len(part) for part in parts], [part.start for part in parts]


def process_grid(size: int) -> tuple[int, int]:
    """Return ``(rows, cols)`` of the most nearly square grid of all `size` ranks.

    Local; no messages. It has no more rows than columns.
    """
    size = index(size)
    _check(0, size)
    rows = next(d for d in range(math.isqrt(size), 0, -1) if size % d == 0)
    return rows, size // rows


def _check(n: int, size: int) -> None:
    if n < 0:
        raise ValueError(f"n = {n} is negative; need 0 or more")
    if size < 1:
        raise ValueError(f"size = {size}; need at least 1 rank")
