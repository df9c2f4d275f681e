"""Block distributions: contiguous blocks of n items for size ranks.

Integer arithmetic without a communicator: every rank computes the same result, also
for n = 0, n < size and n beyond 2**53.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from operator import index


def block(n: int, size: int, rank: int) -> range:
    """Return the block of `range(n)` of `rank`, of `size` ranks.

    Local; no messages. Blocks are contiguous, in rank order, and differ by at most one
    in length: the first ``n % size`` ranks hold one more. This is the usual balanced
    block distribution (as in ScaLAPACK's 1-D case with one block per process).

    Parameters
    ----------
    n : int
        Number of items, 0 or more.
    size, rank : int
        Number of ranks, at least 1, and a rank, ``0 <= rank < size``.

    Returns
    -------
    range
        Step 1; may be empty if there are fewer items than ranks.

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


def owner(n: int, size: int, item: int) -> int:
    """Return the rank whose balanced block has `item`, ``0 <= item < n``. Local."""
    length, extra = divmod(n, size)
    longer = (length + 1) * extra  # items of the ranks that hold one more
    if item < longer:
        return item // (length + 1)
    return extra + (item - longer) // length


def blocks(n: int, size: int) -> list[range]:
    """Return the balanced block of every rank, in rank order. Local; see `block`."""
    return [block(n, size, rank) for rank in range(size)]


def weighted_blocks(n: int, weights: Sequence[int]) -> list[range]:
    """Return contiguous blocks of `range(n)` in proportion to integer `weights`.

    Local; no messages. Block r ends at ``floor(n * (w_0 + ... + w_r) / sum(w))``, so
    each length is within one of its exact share, equal weights give blocks that differ
    by at most one, and a weight of 0 gives an empty block.

    Parameters
    ----------
    n : int
        Number of items, 0 or more.
    weights : sequence of int
        One per rank, 0 or more, not all 0: the ranks' speeds in any common unit.

    Returns
    -------
    list of range
        One per weight.

    Raises
    ------
    ValueError
        If a weight is negative, all are 0, or `n` is negative.
    """
    n, weights = index(n), [index(weight) for weight in weights]
    _check(n, len(weights))
    total = sum(weights)
    if min(weights) < 0 or total == 0:
        raise ValueError(
            f"weights {weights} must be integers, 0 or more, and not all 0"
        )
    ends, running = [0], 0
    for weight in weights:
        running += weight
        ends.append(n * running // total)
    return [range(start, end) for start, end in pairwise(ends)]


def counts_displs(parts: Sequence[range]) -> tuple[list[int], list[int]]:
    """Return MPI's ``counts`` and ``displs`` of contiguous `parts`. Local."""
    return [len(part) for part in parts], [part.start for part in parts]


def process_grid(size: int, shape: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """Return ``(rows, cols)`` of the best 2-D grid of `size` ranks for `shape`.

    Local; no messages. All ranks are used: ``rows * cols == size``. The factor pair
    minimises ``rows * n + cols * m`` for an m x n matrix (half the perimeters of the
    blocks, the volume of a panel broadcast), so the blocks are nearly square; of equal
    pairs it is the one with fewer rows.

    Parameters
    ----------
    size : int
        Number of ranks, at least 1.
    shape : (int, int)
        Shape (m, n) of the matrix; only the ratio counts (default: square).

    Raises
    ------
    ValueError
        If `size` is below 1 or a side of `shape` is negative.
    """
    (m, n), size = map(index, shape), index(size)
    _check(min(m, n), size)
    rows = min(
        divisors(size), key=lambda rows: rows * max(n, 1) + (size // rows) * max(m, 1)
    )
    return rows, size // rows


def cartesian_dims(size: int, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the numbers of ranks along each dimension of an array of `shape`.

    Local; no messages. All ranks are used. Of the grids with the fewest ranks without
    indices, it is the one whose largest block has the smallest faces to other blocks:
    the volume of an exchange of halos. Of equal ones, the one that cuts the first
    dimensions, whose faces are contiguous in C order.

    Parameters
    ----------
    size : int
        Number of ranks, at least 1.
    shape : sequence of int
        At least one dimension.

    Raises
    ------
    ValueError
        If `size` is below 1, or a side of `shape` is negative.
    """
    sides, size = tuple(map(index, shape)), index(size)
    _check(min(sides), size)

    def cost(dims: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
        block = [-(-n // procs) for n, procs in zip(sides, dims, strict=True)]
        faces = sum(
            math.prod(block[:axis] + block[axis + 1 :])
            for axis, procs in enumerate(dims)
            if procs > 1
        )
        used = math.prod(map(min, sides, dims))
        return -used, faces, tuple(-procs for procs in dims)

    return min(_factorisations(size, len(sides)), key=cost)


def _factorisations(size: int, factors: int) -> Iterator[tuple[int, ...]]:
    """Yield all ordered factorisations of `size`."""
    if factors == 1:
        yield (size,)
        return
    for first in divisors(size):
        for rest in _factorisations(size // first, factors - 1):
            yield (first, *rest)


@cache
def divisors(n: int) -> tuple[int, ...]:
    """Return the divisors of n, 1 or more, ascending. Local."""
    small = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0]
    return tuple(sorted({*small, *(n // d for d in small)}))


def grid_block(
    shape: tuple[int, int], grid: tuple[int, int], rank: int
) -> tuple[range, range]:
    """Return the rows and the columns of an m x n matrix on `rank` of `grid`.

    Local; no messages. Ranks are laid out row by row, as `MPI.Comm.Create_cart` does:
    rank ``r * cols + c`` is at row r, column c.

    Raises
    ------
    ValueError
        If `rank` is outside the grid or a size is negative.
    """
    (rows, cols), rank = map(index, grid), index(rank)
    if not 0 <= rank < rows * cols:
        raise ValueError(f"rank {rank} is outside the {rows} x {cols} process grid")
    r, c = divmod(rank, cols)
    return block(shape[0], rows, r), block(shape[1], cols, c)


def _check(n: int, size: int) -> None:
    if n < 0:
        raise ValueError(f"n = {n} is negative; need 0 or more")
    if size < 1:
        raise ValueError(f"size = {size}; need at least 1 rank")
