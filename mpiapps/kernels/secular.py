"""Eigenvalues and vectors of ``diag(d) + rho z z.T``: the secular equation.

The eigenvalues are the roots of ``1 + rho sum(z_i^2 / (d_i - x)) = 0``, one between
each pair of successive d, and one above the last. Each is stored relative to the
nearest d, so that differences to all d keep their relative accuracy. Sources: Cuppen,
Numer. Math. 36 (1981); Gu, Eisenstat: A stable and efficient algorithm for the rank-one
modification of the symmetric eigenproblem, SIMAX 15 (1994).
"""

from __future__ import annotations

import numpy as np

from mpiapps.kernels.jit import kernel_with

MAX_STEPS = 200
EPS = 2.0**-52
FLOAT_KERNEL = kernel_with(error_model="numpy")  # divides without a test for zero


@FLOAT_KERNEL
def find_roots(  # noqa: PLR0912, PLR0913, PLR0917 - a kernel: no arrays of arguments
    d: np.ndarray,
    squares: np.ndarray,
    rho: float,
    first: int,
    origins: np.ndarray,
    offsets: np.ndarray,
) -> None:
    """Compute roots `first`, ... of the secular equation: ``d[origin] + offset``.

    Parameters
    ----------
    d : ndarray of float64, shape (k,)
        Strictly ascending.
    squares : ndarray of float64, shape (k,)
        The squares of z, positive.
    rho : float
        Positive.
    first : int
    origins : ndarray of int64, shape (number of roots,)
    offsets : ndarray of float64, shape (number of roots,)

    Notes
    -----
    By rational interpolation with the two nearest poles (Bunch, Nielsen, Sorensen,
    Numer. Math. 31 (1978)), by bisection where that leaves the bracket. About 6 steps
    of k divisions per root.
    """
    k, inverse = len(d), 1 / rho
    for number in range(len(origins)):
        j = first + number
        is_last = j == k - 1
        origin, low = j, 0.0
        if is_last:
            high = rho * squares.sum()
        else:
            high = (d[j + 1] - d[j]) / 2
            value = inverse
            for i in range(k):
                value += squares[i] / ((d[i] - d[j]) - high)
            if value < 0:
                origin, low, high = j + 1, -high, 0.0
        base, x = d[origin], (low + high) / 2
        for _ in range(MAX_STEPS):
            psi = dpsi = phi = dphi = 0.0
            for i in range(j + 1):
                quotient = 1 / ((d[i] - base) - x)
                psi += squares[i] * quotient
                dpsi += squares[i] * quotient * quotient
            for i in range(j + 1, k):
                quotient = 1 / ((d[i] - base) - x)
                phi += squares[i] * quotient
                dphi += squares[i] * quotient * quotient
            value = inverse + psi + phi
            error = inverse - psi + phi + abs(x) * (dpsi + dphi)
            if abs(value) <= EPS * error:
                break
            if value < 0:
                low = x
            else:
                high = x
            left = (d[j] - base) - x
            if is_last:
                step = left * value / (value - dpsi * left)
            else:
                right = (d[j + 1] - base) - x
                a = (left + right) * value - left * right * (dpsi + dphi)
                b = left * right * value
                c = value - left * dpsi - right * dphi
                root = np.sqrt(max(a * a - 4 * b * c, 0.0))
                step = (a - root) / (2 * c) if a <= 0 else 2 * b / (a + root)
            following = x + step
            if not low < following < high:
                following = (low + high) / 2
            if following == x or not low < following < high:
                break
            x = following
        origins[number], offsets[number] = origin, x


@FLOAT_KERNEL
def find_weights(
    d: np.ndarray, origins: np.ndarray, offsets: np.ndarray, first: int, out: np.ndarray
) -> None:
    """Compute ``|z_i|`` from i = `first` on for which the roots are exact.

    By Loewner's formula, up to a common factor. The vectors of this z are orthogonal to
    working precision, however close the roots are (Gu, Eisenstat 1994).
    """
    for number in range(len(out)):
        i = first + number
        product = (d[origins[i]] - d[i]) + offsets[i]
        for j in range(i):
            product *= ((d[origins[j]] - d[i]) + offsets[j]) / (d[j] - d[i])
        for j in range(i + 1, len(d)):
            product *= ((d[origins[j]] - d[i]) + offsets[j]) / (d[j] - d[i])
        out[number] = np.sqrt(abs(product))


@FLOAT_KERNEL
def fill_vectors(  # noqa: PLR0913, PLR0917 - as find_roots
    d: np.ndarray,
    z: np.ndarray,
    bases: np.ndarray,
    offsets: np.ndarray,
    positions: np.ndarray,
    out: np.ndarray,
) -> None:
    """Compute rows of the normalised eigenvectors of some roots.

    Parameters
    ----------
    d, z : ndarray of float64, shape (k,)
    bases, offsets : ndarray of float64, shape (c,)
        The roots are ``bases + offsets``.
    positions : ndarray of int64, shape (k,)
        The row of `out` for each row of the vectors, or -1.
    out : ndarray, shape (rows, c)
    """
    norms = np.zeros(len(bases))
    line = np.empty(len(bases))
    for i in range(len(d)):
        for j in range(len(bases)):
            line[j] = z[i] / ((d[i] - bases[j]) - offsets[j])
            norms[j] += line[j] * line[j]
        if positions[i] >= 0:
            out[positions[i]] = line
    norms = 1 / np.sqrt(norms)
    for i in range(len(out)):
        for j in range(len(bases)):
            out[i, j] *= norms[j]
