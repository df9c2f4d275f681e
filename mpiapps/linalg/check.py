"""Whether a result is right, at a small part of what it cost: its error in roundings.

Each check returns an error divided by the rounding error of its dtype and by the size
of what was added up: a few for a result that is as good as it can be, whatever the
scales of rows and columns; infinity or NaN for one that is not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mpiapps.comm.cut import Array
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.reduce import norm, summed
from mpiapps.linalg.residual import residual

TRIES = 3  # random vectors: each misses a wrong row with probability 1/2 at most
WEIGHT = 2.0**100  # the largest quotient of the weights of two columns
BLOCK = 2**21  # elements that are converted at once

Factor = tuple[
    DistMatrix, str
]  # and whether as it is, transposed or conjugate: N, T, H


def product_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``C = A B``, by `probed`. Collective."""
    a, b = given
    return probed(made, (a, "N"), (b, "N"))


def gram_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``C = A.H A``, by `probed`. Collective."""
    return probed(made, (given[0], "H"), (given[0], "N"))


def transpose_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``C = A.T``, by `probed`. Collective."""
    return probed(made, (given[0], "T"))


def factor_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``A = L L.H``, by `probed`. Collective."""
    return probed(given[0], (made, "N"), (made, "H"))


def inverse_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``A X = 1``, by `probed`. Collective.

    All rows are compared with the largest, since no step of refinement makes the small
    ones better. So are the columns if X is Hermitian: `inverse` takes the mean of X and
    X.H then, and with it the rounding errors of large columns into small ones.
    """
    hermitian = norm(made - made.H, "max") == 0
    factors = (given[0], "N"), (made, "N")
    return probed(None, *factors, by_row=False, by_column=not hermitian)


def solution_error(given: Sequence[DistMatrix], made: DistMatrix) -> float:
    """Return the error of ``A X = B``: the backward error of the worst column.

    Collective; see `residual`.
    """
    a, b = given
    errors = residual(a, made, b)[1]
    return float(errors.max(initial=0.0)) / float(np.finfo(made.dtype).eps)


CHECKS: Mapping[str, Callable[[Sequence[DistMatrix], DistMatrix], float]] = {
    "product": product_error,
    "gram": gram_error,
    "transpose": transpose_error,
    "factor": factor_error,
    "inverse": inverse_error,
    "solution": solution_error,
}


def probed(
    whole: DistMatrix | None,
    *factors: Factor,
    by_row: bool = True,
    by_column: bool = True,
) -> float:
    """Return the error of ``C = F1 F2 ...`` in the worst row. Collective.

    Parameters
    ----------
    whole : DistMatrix or None
        C; the identity if `None`.
    factors : pairs of a DistMatrix and "N", "T" or "H"
    by_row, by_column : bool
        Whether each row or column is compared with its own scale, or all with the
        largest.

    Notes
    -----
    By ``F1 (F2 x) - C x`` for random signs x (Freivalds: Probabilistic machines can use
    less running time, 1977), divided row by row by ``|F1| (|F2| |x|)``, which bounds
    the rounding errors. The signs are weighted so that all columns of C count alike:
    with rows and columns of different scales, wrong elements are found down to the
    rounding errors of their own row and column. Cost: a few products with a vector, in
    double precision.
    """
    eps = float(np.finfo(factors[0][0].dtype).eps)
    weights = _weights(factors)
    if not by_column:
        weights = np.ones_like(weights)
    rng = np.random.default_rng(0)  # the same on all ranks
    errors = [0.0]
    with np.errstate(all="ignore"):  # what is not finite is not right
        for _ in range(TRIES):
            x = weights * rng.choice([-1.0, 1.0], weights.size)
            x /= _largest(_apply(factors[-1:], np.abs(x), sizes=True))
            scale = _apply(factors, np.abs(x), sizes=True)
            middle = _largest(scale) ** 0.5  # far from overflow and underflow
            x, scale = x / middle, scale / middle
            away = _apply(factors, x) - (x if whole is None else _times(whole, x))
            if not by_row:
                scale = np.full_like(scale, scale.max(initial=0.0))
            rows = np.where(away == 0, 0.0, np.abs(away) / scale / eps)
            errors.append(float(rows.max(initial=0.0)))
    return float(np.max(errors))


def _weights(factors: Sequence[Factor]) -> Array:
    """Return a weight for each column of the product: one by its size. Collective."""
    first, op = factors[0]
    sums = np.ones(first.shape[0 if op == "N" else 1])
    for a, op in factors:
        sums = _times(a, sums, left=op == "N", sizes=True)
        sums /= _largest(sums)
    return 1 / np.maximum(sums, 1 / WEIGHT)


def _largest(numbers: Array) -> float:
    """Return the largest number; 1 if there is none above 0. Local."""
    return float(numbers.max(initial=0.0)) or 1.0


def _apply(factors: Sequence[Factor], x: Array, *, sizes: bool = False) -> Array:
    """Return ``F1 (F2 ... x)``, of absolute values if asked. Collective."""
    for a, op in reversed(factors):
        if op == "H":
            x = _times(a, x.conj(), left=True, sizes=sizes).conj()
        else:
            x = _times(a, x, left=op == "T", sizes=sizes)
    return x


def _times(
    a: DistMatrix, x: Array, *, left: bool = False, sizes: bool = False
) -> Array:
    """Return ``A x`` or, from the left, ``x A``; of A's absolute values if asked.

    Collective. In double precision, on every rank; no copy of A is made.
    """
    m, n = a.local.shape
    mine_of_x = x[a.row_indices if left else a.col_indices]
    dtype = x.dtype if sizes else np.result_type(x.dtype, a.dtype)
    made = np.zeros(n if left else m, dtype)
    step = max(1, BLOCK // max(1, n))
    for begin in range(0, m, step):
        rows = slice(begin, begin + step)
        block = np.abs(a.local[rows]) if sizes else a.local[rows]
        if left:
            made += mine_of_x[rows] @ block
        else:
            made[rows] = block @ mine_of_x
    return summed(a, made, 0 if left else 1)
