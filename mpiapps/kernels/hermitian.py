"""Product of a Hermitian matrix and a vector, from some rows of its lower triangle."""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.jit import kernel_with

ROWS = 4  # computed together: each element of x and y is loaded once for all of them


# Sums in any order, so that loops use vector registers.
@kernel_with(fastmath={"reassoc", "contract"})
def add_hermitian_product(
    a: np.ndarray, rows: np.ndarray, first: int, x: np.ndarray, y: np.ndarray
) -> None:
    """Add the terms of some rows of the lower triangle of A to ``y = A x``.

    The sum over all rows of A[first:, first:] is the whole product. Reads each element
    of the triangle once, as BLAS's symv.

    Parameters
    ----------
    a : ndarray, m x n
        Rows of A. Elements above the diagonal of A, and imaginary parts on it, are not
        read.
    rows : ndarray of int64, shape (m,)
        Their indices in A, `first` or more, ascending.
    first : int
    x, y : ndarray, shape (n - first,)
        y is changed.

    Notes
    -----
    Cost: 4 flops per element (16 for complex), at the speed of memory.
    """
    r = 0
    while r < len(rows):
        i = rows[r]
        if r + ROWS <= len(rows) and rows[r + ROWS - 1] == i + ROWS - 1:
            a0, a1 = a[r, first:i], a[r + 1, first:i]
            a2, a3 = a[r + 2, first:i], a[r + 3, first:i]
            k = i - first
            x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
            s0 = s1 = s2 = s3 = 0 * x0
            for j in range(k):
                xj = x[j]
                s0 += a0[j] * xj
                s1 += a1[j] * xj
                s2 += a2[j] * xj
                s3 += a3[j] * xj
                y[j] += (
                    np.conj(a0[j]) * x0
                    + np.conj(a1[j]) * x1
                    + np.conj(a2[j]) * x2
                    + np.conj(a3[j]) * x3
                )
            y[k] += s0
            y[k + 1] += s1
            y[k + 2] += s2
            y[k + 3] += s3
            begin, count = i, ROWS
        else:
            begin, count = first, 1
        for row in range(r, r + count):
            k = rows[row] - first
            total = a[row, rows[row]].real * x[k]
            for j in range(begin - first, k):
                total += a[row, first + j] * x[j]
                y[j] += np.conj(a[row, first + j]) * x[k]
            y[k] += total
        r += count
