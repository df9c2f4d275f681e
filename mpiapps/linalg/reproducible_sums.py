"""Sums of the elements of a matrix with the same bits in any layout; on every rank.

Each rank adds its elements to integers (`mpiapps.kernels.reproducible_sums`), whose sum
over the ranks does not depend on their order.
"""

from __future__ import annotations

import math

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.stacking import stacked
from mpiapps.linalg.sum_terms import (
    ELEMENTS,
    MAGNITUDES,
    SQUARES,
    Part,
    Terms,
    parts_of,
)

__all__ = [
    "MAGNITUDES",
    "SQUARES",
    "Terms",
    "are_whole",
    "largest_sum",
    "reproducible_means",
    "reproducible_sums",
]


def reproducible_sums(
    a: DistMatrix, axis: int | None, terms: Terms = ELEMENTS
) -> Array:
    """Return the sums of terms of columns, rows or all elements. Collective.

    Parameters
    ----------
    a : DistMatrix, m x n
        Not of dtype bool.
    axis : {None, 0, 1}
    terms : Terms

    Returns
    -------
    ndarray of float64 or complex128, shape (n,) for axis 0, (m,) for axis 1, ()
        Each within one unit in the last place of the sum of its terms, which are
        rounded to 2**-79 of the largest one. Infinities and NaN as in NumPy;
        intermediate sums do not overflow.

    Notes
    -----
    Cost: an all-gather of 8 bytes per result and rank if each row (axis 1) or column
    (axis 0) is on one rank, else of 56 bytes; twice as many for complex numbers.
    """
    return _reduced(a, axis, terms)[0]


def reproducible_means(a: DistMatrix, axis: int | None) -> tuple[Array, Array]:
    """Return means, and those of the deviations from them. Collective.

    Parameters, results and cost are as of `reproducible_sums`, of twice as many
    numbers. The means of the deviations are not zero, because the means are rounded.
    """
    count = math.prod(a.shape) if axis is None else a.shape[axis]
    if count == 1:
        elements = reproducible_sums(a, axis)
        return elements, np.zeros_like(elements)
    both = _reduced(a, axis, ELEMENTS, count)
    return both[0], both[1]


def largest_sum(a: DistMatrix, axis: int, terms: Terms) -> float:
    """Return the largest of real sums and 0, or NaN if one is; on every rank.

    Collective; as `reproducible_sums`. Cost: an all-gather of 8 bytes per rank if each
    row (axis 1) or column (axis 0) is on one rank.
    """
    if a.size == 0 or not are_whole(a, axis):
        return float(reproducible_sums(a, axis, terms).max(initial=0.0))
    own = _own_sums(parts_of(a.local, axis, terms, is_complex=False), a.shape[axis])
    return float(np.max(a.comm.allgather(float(own.max(initial=0.0)))))


def _reduced(
    a: DistMatrix, axis: int | None, terms: Terms, means_of: int | None = None
) -> list[Array]:
    """Return sums, or the means of so many terms and of the deviations. Collective.

    Of sums of one term each: the terms.
    """
    from mpiapps.kernels.reproducible_sums import (
        STATE_ROWS,
        finished,
        merge,
        new_state,
    )

    is_complex = a.dtype.kind == "c" if terms.is_complex is None else terms.is_complex
    components = 1 + is_complex
    results = components * (1 if axis is None else a.shape[1 - axis])
    parts = parts_of(a.local, axis, terms, is_complex)
    count = 0 if axis is None else a.shape[axis]
    if a.size == 0:
        rows = finished(new_state(results), means_of)
    elif a.comm.size == 1:
        rows = _own_sums(parts, count, means_of)
    elif are_whole(a, axis):
        own = _own_sums(parts, count, means_of)
        own = np.ascontiguousarray(own.T).reshape(-1, components * len(own))
        rows = stacked(a, own, axis).reshape(results, -1).T
    else:
        states = _interleaved([part.states() for part in parts])
        own = np.ascontiguousarray(states.T).reshape(-1, components * STATE_ROWS)
        gathered = stacked(a, own, axis).reshape(-1, results, STATE_ROWS)
        merged = new_state(results)
        merge(gathered, merged)
        rows = finished(merged, means_of)
    return [_shaped(np.ascontiguousarray(row), is_complex, axis) for row in rows]


def are_whole(a: DistMatrix, axis: int | None) -> bool:
    """Return whether a rank has all terms of its sums. Local."""
    if axis is None:
        return len(a.layout.ranks) == 1
    return 1 in {a.shape[axis], a.layout.grid[axis]}


def _own_sums(parts: list[Part], count: int, means_of: int | None = None) -> Array:
    """Return the sums of `count` terms that this rank has, (k, n), or means. Local."""
    return _interleaved(
        [part.terms()[None] if count == 1 else part.values(means_of) for part in parts]
    )


def _shaped(sums: Array, is_complex: bool, axis: int | None) -> Array:
    """Return real and imaginary parts in turn as the results."""
    sums = sums.view(complex) if is_complex else sums
    return sums.reshape(()) if axis is None else sums


def _interleaved(parts: list[Array]) -> Array:
    """Return arrays as one, whose last axis has their elements in turn."""
    if len(parts) == 1:
        return parts[0]
    return np.stack(parts, axis=-1).reshape(*parts[0].shape[:-1], -1)
