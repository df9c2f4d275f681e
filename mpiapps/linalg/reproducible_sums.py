"""Sums of the elements of a matrix with the same bits in any layout; on every rank.

Each rank adds its elements to integers (`mpiapps.kernels.reproducible_sums`), whose sum
over the ranks does not depend on their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.stacking import stacked

CHUNK = 2**16  # elements that NumPy functions are applied to at a time
BLOCK = 2**12  # columns at a time
COMPONENTS = "real", "imag"
BLOCK_ELEMENTS = 2**18  # elements of rows at a time


Function = Callable[[Array, slice, slice], Array]


@dataclass(frozen=True)
class Terms:
    """The terms of sums: the elements, their magnitudes, squares, or a function.

    Attributes
    ----------
    function : callable, optional
        Takes a part of the local block, and its rows and columns as slices
        of the block; returns numbers of the same shape. With no axis, the block is one
        row.
    is_complex : bool, optional
        Whether the terms are complex; default: as the elements.
    magnitude, square : bool
        Take the magnitudes, or the squared real and imaginary parts; the latter only
        without an axis.
    """

    function: Function | None = None
    is_complex: bool | None = None
    magnitude: bool = False
    square: bool = False


ELEMENTS = Terms()
MAGNITUDES = Terms(is_complex=False, magnitude=True)
SQUARES = Terms(is_complex=False, square=True)


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
    from mpiapps.kernels.reproducible_sums import values

    return _reduced(a, axis, terms, lambda state: values(state)[None])[0]


def reproducible_means(a: DistMatrix, axis: int | None) -> tuple[Array, Array]:
    """Return means, and those of the deviations from them. Collective.

    Parameters, results and cost are as of `reproducible_sums`, of twice as many
    numbers. The means of the deviations are not zero, because the means are rounded.
    """
    from mpiapps.kernels.reproducible_sums import means

    count = math.prod(a.shape) if axis is None else a.shape[axis]
    if count == 1:
        elements = reproducible_sums(a, axis)
        return elements, np.zeros_like(elements)
    both = _reduced(a, axis, ELEMENTS, partial(means, count=count))
    return both[0], both[1]


def _reduced(
    a: DistMatrix, axis: int | None, terms: Terms, finish: Callable[[Array], Array]
) -> list[Array]:
    """Return what `finish` returns of the states of all sums. Collective.

    Of sums of one term each: the terms.
    """
    from mpiapps.kernels.reproducible_sums import STATE_ROWS, merge, new_state

    is_complex = a.dtype.kind == "c" if terms.is_complex is None else terms.is_complex
    components = 1 + is_complex
    results = components * (1 if axis is None else a.shape[1 - axis])
    parts = _parts(a.local, axis, terms, is_complex)
    count = 0 if axis is None else a.shape[axis]
    ranks = len(a.layout.ranks) if axis is None else a.layout.grid[axis]
    if a.size == 0:
        finished = finish(new_state(results))
    elif 1 in (count, ranks):  # a rank has all terms of its sums
        own = _interleaved(
            [
                part.terms()[None] if count == 1 else part.values(finish)
                for part in parts
            ]
        )
        rows = np.ascontiguousarray(own.T).reshape(-1, components * len(own))
        finished = stacked(a, rows, axis).reshape(results, -1).T
    else:
        states = _interleaved([part.states() for part in parts])
        own = np.ascontiguousarray(states.T).reshape(-1, components * STATE_ROWS)
        gathered = stacked(a, own, axis).reshape(-1, results, STATE_ROWS)
        merged = new_state(results)
        merge(gathered, merged)
        finished = finish(merged)
    return [_shaped(np.ascontiguousarray(row), is_complex, axis) for row in finished]


def _shaped(sums: Array, is_complex: bool, axis: int | None) -> Array:
    """Return real and imaginary parts in turn as the results."""
    sums = sums.view(complex) if is_complex else sums
    return sums.reshape(()) if axis is None else sums


def _interleaved(parts: list[Array]) -> Array:
    """Return arrays as one, whose last axis has their elements in turn."""
    if len(parts) == 1:
        return parts[0]
    return np.stack(parts, axis=-1).reshape(*parts[0].shape[:-1], -1)


def _parts(
    local: Array, axis: int | None, terms: Terms, is_complex: bool
) -> list[_Part]:
    """Return the real parts of the terms: one, or two with a sum per component."""
    block = local.reshape(1, -1) if axis is None else local
    along, function = 1 if axis is None else axis, terms.function
    if local.dtype.kind == "c" and function is None:
        if terms.square or (is_complex and along == 0):
            block = block.view(block.real.dtype)  # components are elements
            is_complex = False
        elif terms.magnitude:
            function = _complex_magnitudes
    if is_complex:
        return [_Part(block, along, function, component=name) for name in COMPONENTS]
    if function is None and block.dtype not in {np.dtype("f4"), np.dtype("f8")}:
        function = _elements
    return [_Part(block, along, function, terms.magnitude, terms.square)]


def _elements(chunk: Array, _rows: slice, _columns: slice) -> Array:
    return chunk


def _complex_magnitudes(chunk: Array, _rows: slice, _columns: slice) -> Array:
    magnitudes: Array = np.abs(chunk.astype(complex, copy=False))
    return magnitudes


@dataclass(frozen=True)
class _Part:
    """Sums of real terms over the rows (axis 0) or columns (axis 1) of a block.

    If terms are complex, of the `component` "real" or "imag".
    """

    block: Array
    axis: int
    function: Function | None
    magnitude: bool = False
    square: bool = False
    component: str = ""

    def terms(self) -> Array:
        """Return the terms as float64, without -0, and NaN of one sign."""
        terms = self._terms(*map(slice, self.block.shape))
        terms = np.abs(terms) if self.magnitude else terms + 0.0
        terms = terms.astype(float, copy=False).reshape(-1)
        if np.isnan(terms.min(initial=0.0)):
            terms[np.isnan(terms)] = np.nan
        return np.square(terms) if self.square else terms

    def values(self, finish: Callable[[Array], Array]) -> Array:
        """Return what `finish` returns of the states of the sums, (k, n)."""
        from mpiapps.kernels.reproducible_sums import new_state

        parts = [finish(state) for _, _, state in self._sums()]
        return np.concatenate(parts or [finish(new_state(0))], axis=1)

    def states(self) -> Array:
        """Return the sums as states, int64, shape (7, n)."""
        from mpiapps.kernels.reproducible_sums import new_state

        result = new_state(self.block.shape[1 - self.axis])
        for begin, end, state in self._sums():
            result[:, begin:end] = state
        return result

    def _sums(self) -> Iterator[tuple[int, int, Array]]:
        """Yield the states of sums from `begin` to `end`, in the same memory."""
        from mpiapps.kernels.reproducible_sums import new_state

        m, n = self.block.shape
        results = n if self.axis == 0 else m
        step = BLOCK
        if self.axis == 1:
            # The cache holds the values of the function, and both components.
            is_read_once = self.function is None and not self.component
            elements = BLOCK_ELEMENTS if is_read_once else CHUNK
            step = min(2 * BLOCK, max(1, elements // max(1, n)))
        state = new_state(0)
        for begin in range(0, results if m * n else 0, step):
            end = min(begin + step, results)
            if state.shape[1] == end - begin:  # new memory takes as long as the sums
                state[0], state[1:] = -1, 0
            else:
                state = new_state(end - begin)
            if self.function is None:
                self._add_elements(begin, state)
            else:
                self._add_terms(begin, end, state)
            yield begin, end, state

    def _add_elements(self, begin: int, state: Array) -> None:
        """Add elements, which are read in place."""
        from mpiapps.kernels.reproducible_sums import MAX_NUMBERS, add_columns, add_rows

        (m, n), mask, step = self.block.shape, self._mask(), 1
        elements = self.block.reshape(-1)
        if self.component:
            elements, step = elements.view(elements.real.dtype), 2
        first = COMPONENTS.index(self.component) if self.component else 0
        for i in range(0, self.block.shape[self.axis], MAX_NUMBERS):
            count = min(MAX_NUMBERS, self.block.shape[self.axis] - i)
            if self.axis == 1:
                place = step * (begin * n + i) + first, step * n, count
                add_rows(elements, *place, mask, self.square, state, step)
            elif n == 1:
                add_rows(elements, i, m, count, mask, False, state)
            else:
                add_columns(elements, i * n + begin, n, count, mask, state)

    def _add_terms(self, begin: int, end: int, state: Array) -> None:
        """Add values of the function, chunk by chunk."""
        from mpiapps.kernels.reproducible_sums import add_columns, add_rows

        mask = self._mask()
        step = max(1, CHUNK // (end - begin))
        results = slice(begin, end)
        for i in range(0, self.block.shape[self.axis], step):
            some = slice(i, min(i + step, self.block.shape[self.axis]))
            rows, columns = (some, results) if self.axis == 0 else (results, some)
            terms = np.ascontiguousarray(self._terms(rows, columns), np.float64)
            m, n = terms.shape
            if self.axis == 1:
                add_rows(terms.reshape(-1), 0, n, n, mask, self.square, state)
            else:
                add_columns(terms.reshape(-1), 0, n, m, mask, state)

    def _terms(self, rows: slice, columns: slice) -> Array:
        """Return the values of the function, or their component."""
        function = self.function or _elements
        terms = function(self.block[rows, columns], rows, columns)
        return getattr(terms, self.component) if self.component else terms

    def _mask(self) -> int:
        from mpiapps.kernels.reproducible_sums import MAGNITUDE

        return int(MAGNITUDE) if self.magnitude else -1
