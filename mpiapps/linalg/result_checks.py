"""Checks of results: errors in units of the rounding error, at low cost.

A check returns the error relative to the machine epsilon and the magnitude of the
summands: a few for an accurate result, independent of row and column scaling; infinity
or NaN for a result that is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.reductions import col_sums, norm, sum_over_ranks
from mpiapps.linalg.residual import residual
from mpiapps.linalg.scaling import exponent_of, normalised, scale_by_power
from mpiapps.linalg.solve import hermitian
from mpiapps.linalg.svd import svd
from mpiapps.linalg.tsqr import qr

PROBES = 3  # random vectors; each misses a wrong row with probability <= 1/2
MAX_WEIGHT_RATIO = 2.0**100  # bound of the ratio of column weights
BLOCK_ELEMENTS = 2**21  # elements per block

Factor = tuple[DistMatrix, str]  # with op: N, T or H


def product_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of ``C = A B``, by `probe_error`. Collective."""
    a, b = inputs
    return probe_error(result, (a, "N"), (b, "N"))


def gram_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of ``C = A.H A``, by `probe_error`. Collective."""
    return probe_error(result, (inputs[0], "H"), (inputs[0], "N"))


def transpose_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of ``C = A.T``, by `probe_error`. Collective."""
    return probe_error(result, (inputs[0], "T"))


def factor_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of ``A = L L.H``, by `probe_error`. Collective."""
    return probe_error(inputs[0], (result, "N"), (result, "H"))


def inverse_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of ``A X = 1``, by `probe_error`. Collective.

    All rows are scaled by the largest, because without refinement small rows are less
    accurate. So are columns if X is Hermitian: `inverse` then averages X and X.H, which
    brings rounding errors of large columns into small ones.
    """
    hermitian = norm(result - result.H, "max") == 0
    factors = (inputs[0], "N"), (result, "N")
    return probe_error(None, *factors, by_row=False, by_column=not hermitian)


def solution_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the largest backward error of the columns of ``A X = B``. Collective.

    See `residual`.
    """
    a, b = inputs
    errors = residual(a, result, b)[1]
    return float(errors.max(initial=0.0)) / float(np.finfo(result.dtype).eps)


def eigenvector_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of the eigenvectors V of a Hermitian A. Collective.

    The largest of the norms of the columns of ``A V - B V diag(w)``, relative to ``|A|
    + |w| |B|`` in Frobenius norms and to those of V, and of ``V.H B V = 1``, by
    `probe_error`. w is the diagonal of ``V.H A V``; B is the identity unless there are
    two inputs. A and B are their lower triangles. Cost: a product, two with B.
    """
    eps = float(np.finfo(result.dtype).eps)
    a, _ = normalised(hermitian(inputs[0]))
    middle: list[Factor] = []
    norm_b = 1.0
    for matrix in inputs[1:]:
        b, result = _normalised_metric(hermitian(matrix), result)
        middle, norm_b = [(b, "N")], norm(b)
    image = multiply(a, result).redistribute(result.layout)
    values = col_sums(result.map(lambda v, av: v.conj() * av, image)).real
    weighted = result
    for b, _ in middle:
        weighted = multiply(b, result).redistribute(result.layout)
    image.local[...] -= weighted.local * values[image.col_indices].astype(result.dtype)
    scale = ((norm(a) or 1.0) + np.abs(values) * norm_b) * _column_norms(result)
    with np.errstate(invalid="ignore"):  # of columns of zeros, which are an error
        error = float((_column_norms(image) / scale / eps).max(initial=0.0))
    whole = probe_error(None, (result, "H"), *middle, (result, "N"))
    return float(np.max([error, whole]))


def _normalised_metric(
    b: DistMatrix, vectors: DistMatrix
) -> tuple[DistMatrix, DistMatrix]:
    """Return B with elements of about one, and V with the same ``V.H B V``. Collective.

    Squares of the given V may overflow or underflow.
    """
    b, vectors = b.copy(), vectors.copy()
    half = exponent_of(b.comm, b.local) // 2
    scale_by_power(b.local, -2 * half)
    scale_by_power(vectors.local, half)
    return b, vectors


def _column_norms(a: DistMatrix) -> Array:
    return np.sqrt(col_sums(a.map(lambda local: (local * local.conj()).real)))


def singular_value_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of the singular values s of A, a column. Collective.

    The largest of the norms of the columns of ``A V - U diag(s)``, relative to A's
    Frobenius norm, and of ``U.H U = 1`` and ``V.H V = 1``, by `probe_error`: a bound of
    the errors of s (Weyl). The check computes U and V. Cost: `svd` and one product.
    """
    eps = float(np.finfo(result.dtype).eps)
    a, exponent = normalised(inputs[0])
    u, _, vh = svd(a)
    image = multiply(a, vh, op_b="H").redistribute(u.layout)
    values = result.to_all()[:, 0]
    scale_by_power(values, -exponent)
    image.local[...] -= u.local * values[u.col_indices]
    accuracy = (norm(a) or 1.0) * eps + _least(result, -exponent)
    error = float(_column_norms(image).max(initial=0.0)) / accuracy
    whole = [probe_error(None, (u, "H"), (u, "N"))]
    whole.append(probe_error(None, (vh, "N"), (vh, "H")))
    return float(np.max([error, *whole]))


def singular_vector_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of right singular vectors V of A, the largest first. Collective.

    The largest of the norms of the columns of ``A V - U diag(s)`` and ``A.H U - V
    diag(s)``, relative to A's Frobenius norm and to its larger side, as in LAPACK's
    tests, and of ``V.H V = 1``, by `probe_error`. U and s are Q and the diagonal of R
    in ``A V = Q R``: errors of a column of Q are orthogonal to the columns before it,
    so that ``A.H`` makes them smaller. Cost: two products, and a QR factorisation.
    """
    if not np.isfinite(norm(result, "max")):
        return np.inf
    a, eps = normalised(inputs[0])[0], float(np.finfo(result.dtype).eps)
    u, r = qr(multiply(a, result))
    values = np.diagonal(r)
    image = multiply(a, u, op_a="H").redistribute(result.layout)
    image.local[...] -= result.local * values[result.col_indices]
    errors = [
        np.linalg.norm(r - np.diag(values), axis=0).max(initial=0.0),
        _column_norms(image).max(initial=0.0),
    ]
    error = float(np.max(errors)) / ((norm(a) or 1.0) * max(a.shape) * eps)
    whole = probe_error(None, (result, "H"), (result, "N"))
    return float(np.max([error, whole]))


def least_squares_error(inputs: Sequence[DistMatrix], result: DistMatrix) -> float:
    """Return the error of the X that minimises ``|B - A X|``. Collective.

    The norm of ``A.H (B - A X)``, zero for the exact X, relative to
    ``|A| (|A| |X| + |B|)`` in Frobenius norms and to the larger side of A, as in
    LAPACK's tests. Cost: two products.
    """
    (a, exponent), (b, exponent_b) = (normalised(matrix) for matrix in inputs)
    x = result.copy()
    scale_by_power(x.local, exponent - exponent_b)
    rest = multiply(a, x, b, alpha=-1, beta=1)
    size, eps = norm(a), float(np.finfo(result.dtype).eps)
    gradient = norm(multiply(a, rest, op_a="H"))
    roundings = eps * (size * norm(x) + norm(b)) * max(1, *a.shape)
    unit = _least(result, exponent - exponent_b) * math.prod(x.shape) ** 0.5
    return gradient / (size * (roundings + size * unit) or 1.0)


def _least(result: DistMatrix, exponent: int) -> float:
    """Return the unit of denormal numbers, in which a result may be rounded. Local.

    Multiplied by ``2**exponent``.
    """
    with np.errstate(over="ignore"):
        unit = float(np.finfo(result.dtype).smallest_subnormal)
        return float(np.ldexp(unit, exponent))


def probe_error(
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
        Scale each row or column by itself, instead of by the largest.

    Notes
    -----
    By ``F1 (F2 x) - C x`` for random signs x (Freivalds: Probabilistic machines can use
    less running time, 1977), divided row by row by ``|F1| (|F2| |x|)``, which bounds
    the rounding errors. The signs are weighted to equilibrate the columns of C: in
    badly scaled matrices, wrong elements are detected down to the rounding errors of
    their own row and column. Cost: a few matrix-vector products
    in double precision.
    """
    eps = float(np.finfo(factors[0][0].dtype).eps)
    weights = _weights(factors)
    if not by_column:
        weights = np.ones_like(weights)
    rng = np.random.default_rng(0)  # the same on all ranks
    errors = [0.0]
    with np.errstate(all="ignore"):  # nonfinite results fail the check
        for _ in range(PROBES):
            x = weights * rng.choice([-1.0, 1.0], weights.size)
            x /= _largest(_apply(factors[-1:], np.abs(x), sizes=True))
            scale = _apply(factors, np.abs(x), sizes=True)
            middle = _largest(scale) ** 0.5  # avoids overflow and underflow
            x, scale = x / middle, scale / middle
            difference = _apply(factors, x) - (x if whole is None else _times(whole, x))
            if not by_row:
                scale = np.full_like(scale, scale.max(initial=0.0))
            rows = np.where(difference == 0, 0.0, np.abs(difference) / scale / eps)
            errors.append(float(rows.max(initial=0.0)))
    return float(np.max(errors))


def _weights(factors: Sequence[Factor]) -> Array:
    """Return the reciprocal size of each column of the product. Collective."""
    first, op = factors[0]
    sums = np.ones(first.shape[0 if op == "N" else 1])
    for a, op in factors:
        sums = _times(a, sums, left=op == "N", sizes=True)
        sums /= _largest(sums)
    return 1 / np.maximum(sums, 1 / MAX_WEIGHT_RATIO)


def _largest(numbers: Array) -> float:
    """Return the largest number, or 1 if none is positive. Local."""
    return float(numbers.max(initial=0.0)) or 1.0


def _apply(factors: Sequence[Factor], x: Array, *, sizes: bool = False) -> Array:
    """Return ``F1 (F2 ... x)``, with absolute values if `sizes`. Collective."""
    for a, op in reversed(factors):
        if op == "H":
            x = _times(a, x.conj(), left=True, sizes=sizes).conj()
        else:
            x = _times(a, x, left=op == "T", sizes=sizes)
    return x


def _times(
    a: DistMatrix, x: Array, *, left: bool = False, sizes: bool = False
) -> Array:
    """Return ``A x``, or ``x A`` if `left`; with ``|A|`` if `sizes`. Collective.

    In double precision, on every rank, without a copy of A.
    """
    m, n = a.local.shape
    local_x = x[a.row_indices if left else a.col_indices]
    dtype = x.dtype if sizes else np.result_type(x.dtype, a.dtype)
    result = np.zeros(n if left else m, dtype)
    step = max(1, BLOCK_ELEMENTS // max(1, n))
    for begin in range(0, m, step):
        rows = slice(begin, begin + step)
        block = np.abs(a.local[rows]) if sizes else a.local[rows]
        if left:
            result += local_x[rows] @ block
        else:
            result[rows] = block @ local_x
    return sum_over_ranks(a, result, 0 if left else 1)
