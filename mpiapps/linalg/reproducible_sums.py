"""Sums of the elements of a matrix with the same bits in any layout; on every rank.

Each rank adds its elements to integers (`mpiapps.kernels.reproducible_sums`), whose sum
over the ranks does not depend on their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.stacking import stacked

CHUNK = 2**16  # elements that NumPy functions are applied to at a time
BLOCK = 2**12  # columns at a time
BLOCK_ELEMENTS = 2**18  # elements of rows at a time


Function = Callable[[Array, slice, slice], Array]


@dataclass(frozen=True)
class Terms:
    """The terms of sums: the elements, their magnitudes, squares, or a function.

    Attributes
    ----------
    function : callable, optional
        Takes a C-contiguous part of the local block, and its rows and columns as slices
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
    from mpiapps.kernels.reproducible_sums import STATE_ROWS, merge, new_state, values

    is_complex = a.dtype.kind == "c" if terms.is_complex is None else terms.is_complex
    components = 1 + is_complex
    results = components * (1 if axis is None else a.shape[1 - axis])
    if a.size == 0:
        return _shaped(np.zeros(results), is_complex, axis)
    parts = _parts(a.local, axis, terms, is_complex)
    count = 0 if axis is None else a.shape[axis]
    ranks = len(a.layout.ranks) if axis is None else a.layout.grid[axis]
    if 1 in (count, ranks):  # a rank has all terms of its sums
        own = _interleaved([part.values(count) for part in parts])
        sums = stacked(a, own.reshape(-1, components), axis).reshape(-1)
        return _shaped(sums, is_complex, axis)
    states = _interleaved([part.states() for part in parts])
    own = np.ascontiguousarray(states.T).reshape(-1, components * STATE_ROWS)
    gathered = stacked(a, own, axis).reshape(-1, results, STATE_ROWS)
    merged = new_state(results)
    merge(gathered, merged)
    return _shaped(values(merged), is_complex, axis)


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
        return [
            _Part(block, along, _component(function, name)) for name in ("real", "imag")
        ]
    if function is None and block.dtype != np.float64:
        function = _elements
    return [_Part(block, along, function, terms.magnitude, terms.square)]


def _elements(chunk: Array, _rows: slice, _columns: slice) -> Array:
    return chunk


def _complex_magnitudes(chunk: Array, _rows: slice, _columns: slice) -> Array:
    magnitudes: Array = np.abs(chunk.astype(complex, copy=False))
    return magnitudes


def _component(function: Function | None, name: str) -> Function:
    """Return the real or imaginary part of a function."""
    function = function or _elements

    def part(chunk: Array, rows: slice, columns: slice) -> Array:
        component: Array = getattr(function(chunk, rows, columns), name)
        return component

    return part


@dataclass(frozen=True)
class _Part:
    """Sums of real terms over the rows (axis 0) or columns (axis 1) of a block."""

    block: Array
    axis: int
    function: Function | None
    magnitude: bool = False
    square: bool = False

    def values(self, count: int) -> Array:
        """Return the sums as float64; if `count` is 1, of one term each."""
        from mpiapps.kernels.reproducible_sums import values

        if count == 1:
            function = self.function or _elements
            terms = function(self.block, *map(slice, self.block.shape))
            terms = np.abs(terms) if self.magnitude else terms + 0.0  # no -0
            terms = terms.astype(float, copy=False).reshape(-1)
            if np.isnan(terms.min(initial=0.0)):
                terms[np.isnan(terms)] = np.nan  # of one sign
            return np.square(terms) if self.square else terms
        result = np.empty(self.block.shape[1 - self.axis])
        for begin, end, state in self._sums():
            result[begin:end] = values(state)
        return result

    def states(self) -> Array:
        """Return the sums as states, int64, shape (7, n)."""
        from mpiapps.kernels.reproducible_sums import new_state

        result = new_state(self.block.shape[1 - self.axis])
        for begin, end, state in self._sums():
            result[:, begin:end] = state
        return result

    def _sums(self) -> Iterator[tuple[int, int, Array]]:
        """Yield the states of sums from `begin` to `end`."""
        from mpiapps.kernels.reproducible_sums import new_state

        m, n = self.block.shape
        results = n if self.axis == 0 else m
        step = BLOCK
        if self.axis == 1:
            step = min(2 * BLOCK, max(1, BLOCK_ELEMENTS // max(1, n)))
        for begin in range(0, results if m * n else 0, step):
            end = min(begin + step, results)
            state = new_state(end - begin)
            if self.function is None:
                self._add_elements(begin, state)
            else:
                self._add_terms(begin, end, state)
            yield begin, end, state

    def _add_elements(self, begin: int, state: Array) -> None:
        """Add float64 elements, which are read in place."""
        from mpiapps.kernels.reproducible_sums import MAX_NUMBERS, add_columns, add_rows

        m, n = self.block.shape
        elements, mask = self.block.reshape(-1), self._mask()
        for i in range(0, self.block.shape[self.axis], MAX_NUMBERS):
            count = min(MAX_NUMBERS, self.block.shape[self.axis] - i)
            if self.axis == 1:
                start = begin * n + i
                add_rows(elements, start, n, count, mask, self.square, state)
            elif n == 1:
                add_rows(elements, i, m, count, mask, False, state)
            else:
                add_columns(elements, i * n + begin, n, count, mask, state)

    def _add_terms(self, begin: int, end: int, state: Array) -> None:
        """Add values of the function, chunk by chunk."""
        from mpiapps.kernels.reproducible_sums import add_columns, add_rows

        function, mask = self.function or _elements, self._mask()
        step = max(1, CHUNK // (end - begin))
        results = slice(begin, end)
        for i in range(0, self.block.shape[self.axis], step):
            some = slice(i, min(i + step, self.block.shape[self.axis]))
            rows, columns = (some, results) if self.axis == 0 else (results, some)
            terms = function(
                np.ascontiguousarray(self.block[rows, columns]), rows, columns
            )
            terms = np.ascontiguousarray(terms, np.float64)
            m, n = terms.shape
            if self.axis == 1:
                add_rows(terms.reshape(-1), 0, n, n, mask, self.square, state)
            else:
                add_columns(terms.reshape(-1), 0, n, m, mask, state)

    def _mask(self) -> int:
        from mpiapps.kernels.reproducible_sums import MAGNITUDE

        return int(MAGNITUDE) if self.magnitude else -1
