"""The terms of the sums of a matrix, and their sums over the block of a rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from mpiapps.comm.chunking import Array

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


def parts_of(
    local: Array, axis: int | None, terms: Terms, is_complex: bool
) -> list[Part]:
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
        return [Part(block, along, function, component=name) for name in COMPONENTS]
    if function is None and block.dtype not in {np.dtype("f4"), np.dtype("f8")}:
        function = _elements
    return [Part(block, along, function, terms.magnitude, terms.square)]


def _elements(chunk: Array, _rows: slice, _columns: slice) -> Array:
    return chunk


def _complex_magnitudes(chunk: Array, _rows: slice, _columns: slice) -> Array:
    magnitudes: Array = np.abs(chunk.astype(complex, copy=False))
    return magnitudes


@dataclass(frozen=True)
class Part:
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

    def values(self, means_of: int | None) -> Array:
        """Return the sums, (1, n), or means as of `_reduced`, (2, n)."""
        from mpiapps.kernels.reproducible_sums import MOST, finished

        result = np.empty((1 + (means_of is not None), self.block.shape[1 - self.axis]))
        if 0 < self.block.shape[self.axis] <= MOST and not self.square:
            self._set_short(means_of, result)
        else:
            for begin, end, state in self._sums():
                result[:, begin:end] = finished(state, means_of)
        return result

    def _set_short(self, means_of: int | None, result: Array) -> None:
        """Set `result`, as of `values`, where sums have few terms."""
        from mpiapps.kernels.reproducible_sums import of_short

        number, results = self.block.shape[self.axis], result.shape[1]
        chunk = CHUNK // number if self.function else max(1, results)
        for begin in range(0, results, chunk):
            some = slice(begin, min(begin + chunk, results))
            (elements, first, step), width = self._flat(), self.block.shape[1]
            if self.function:
                pair = (slice(None), some) if self.axis == 0 else (some, slice(None))
                terms = np.ascontiguousarray(self._terms(*pair), np.float64)
                elements, first, step, width = terms.reshape(-1), 0, 1, terms.shape[1]
            stride, step = (1, width) if self.axis == 0 else (step * width, step)
            place, mask = (first, stride, step, number), self._mask()
            of_short(elements, place, mask, means_of, result[:, some])

    def _flat(self) -> tuple[Array, int, int]:
        """Return the numbers of the block in 1-D, the first term, their distance."""
        elements = self.block.reshape(-1)
        if not self.component:
            return elements, 0, 1
        numbers = elements.view(elements.real.dtype)
        return numbers, COMPONENTS.index(self.component), 2

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

        (m, n), mask = self.block.shape, self._mask()
        elements, first, step = self._flat()
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
