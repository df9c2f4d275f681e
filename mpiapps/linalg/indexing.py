"""Indexing and assignment of a distributed matrix, as in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mpiapps.comm.block_plan import BlockPlan
from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg import operands
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.element_moves import Elements, move, owned
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_base import MatrixBase
from mpiapps.linalg.operators import Operators
from mpiapps.linalg.selection import Block, Indices, Points, select

# Local elements of a selection in A's grid, relative to the default layout, up to
# which the grid is kept.
MAX_IMBALANCE = 1.25


class Indexing(Operators):
    """``A[...]`` and ``A[...] = value`` of a `DistMatrix`. Collective."""

    def __getitem__(self, key: Any) -> Any:
        """Return the elements that NumPy selects by `key`; a copy. Collective.

        Parameters
        ----------
        key : int, slice, Ellipsis, array_like of int or bool, or a pair of them
            The same on all ranks. Negative indices and steps are as in NumPy, and so
            are two index arrays: ``A[rows, cols]`` selects single elements,
            ``A[np.ix_(rows, cols)]`` a submatrix.

        Returns
        -------
        number, ndarray or DistMatrix
            ``A[i, j]`` is a number, ``A[i]``, ``A[:, j]`` and ``A[rows, cols]`` are
            1-D arrays, all on every rank; a submatrix is a `DistMatrix`.

        Raises
        ------
        IndexError
            On all ranks, if an index is out of range, or not one of the above. A
            matrix of dtype bool is not an index: the number of selected elements is
            not known in advance.

        Notes
        -----
        Numbers and 1-D arrays cost one all-gather of their elements. The elements of a
        submatrix that change ranks are sent once, in at most one message per pair of
        ranks and GiB. A submatrix of the shape of A has A's layout. Others have A's
        grid, in which an axis that is selected whole keeps its distribution, so that
        ``A[:, c:d]`` of a matrix distributed by rows sends nothing; if that is less
        balanced than the default layout, they have the default layout.
        """
        with raise_together(self.comm) as same:
            selected = select(key, self.shape)
            same("getitem", self, selected.rows, selected.cols)
        if isinstance(selected, Points):
            return self._gathered(selected)
        layout = resized_layout(self.layout, selected.shape, self.comm.size)
        local = np.empty(layout.local_shape(self.comm.rank), self.dtype)
        every = map(range, layout.shape)
        move(self.comm, self._elements(selected), Elements(local, layout, *every))
        return self._with_local(local, layout)

    def _gathered(self, points: Points) -> Any:
        """Return single elements on every rank. Collective."""
        i, j = points.rows.ravel(), points.cols.ravel()
        owners = _owners(self.layout, i, j)
        own = np.flatnonzero(owners == self.comm.rank)
        layout = self.layout
        local = self.local[layout.rows.local(i[own]), layout.cols.local(j[own])]
        counts = np.bincount(owners, minlength=self.comm.size).tolist()
        values = BlockPlan(self.comm, counts, (), self.dtype).allgather(local)
        result = np.empty(i.size, self.dtype)
        result[np.argsort(owners, kind="stable")] = values
        return result.reshape(points.shape)[()]

    def __setitem__(self, key: Any, value: Any) -> None:
        """Assign to the elements that NumPy selects by `key`. Collective.

        Parameters
        ----------
        key : as for `__getitem__`, or a mask
            A mask is an array or a `DistMatrix` of dtype bool and of the shape of A;
            the value is then a number.
        value : number, array_like or DistMatrix
            The same on all ranks; broadcasts to the selection, and is cast to the
            dtype of A. It may be A itself. If an index occurs twice, the last value is
            assigned.

        Raises
        ------
        IndexError, TypeError, ValueError
            On all ranks, before any element is changed: as for `__getitem__`, or if
            the value does not broadcast, or is complex and A is real.

        Notes
        -----
        A number or an array sends nothing; of a matrix, each element that changes
        ranks is sent once, in at most one message per pair of ranks and GiB. A matrix
        of one row or column that is broadcast is gathered on every rank.
        """
        if _is_mask(key):
            self._assign_where(key, value)
            return
        with raise_together(self.comm) as same:
            selected = select(key, self.shape)
            value = self._checked_value(value, selected.shape)
            same("setitem", self, selected.rows, selected.cols, value)
        if isinstance(value, Indexing):
            if isinstance(selected, Block) and value.shape == selected.shape:
                self._assign_matrix(selected, value)
                return
            value = value[0] if value.shape[0] == 1 else value[:, 0][:, None]
        values = np.asarray(value)
        extra = max(0, values.ndim - len(selected.shape))
        values = np.broadcast_to(values.reshape(values.shape[extra:]), selected.shape)
        if isinstance(selected, Points):
            layout, i, j = self.layout, selected.rows, selected.cols
            own = _owners(layout, i, j) == self.comm.rank
            i, j = layout.rows.local(i[own]), layout.cols.local(j[own])
            self.local[i, j] = values[own]
            return
        local, numbers = owned(self._elements(selected), self.comm.rank)
        self.local[local] = values[numbers]

    def _elements(self, selected: Block) -> Elements:
        return Elements(self.local, self.layout, selected.rows, selected.cols)

    def _assign_matrix(self, selected: Block, value: Indexing) -> None:
        """Assign a matrix of the shape of the selection. Collective."""
        source = value.local
        if np.may_share_memory(source, self.local):
            source = source.copy()
        source_rows, rows = _last_of_each(selected.rows)
        source_cols, cols = _last_of_each(selected.cols)
        move(
            self.comm,
            Elements(source, value.layout, source_rows, source_cols),
            self._elements(Block(rows, cols)),
        )

    def _assign_where(self, mask: Any, value: Any) -> None:
        """Assign a number to the elements of a mask. Collective."""
        with raise_together(self.comm) as same:
            if mask.shape != self.shape:
                raise IndexError(
                    f"the mask has shape {mask.shape}; expected {self.shape}"
                )
            if np.ndim(value) != 0:
                raise ValueError(
                    f"A[mask] = value of shape {np.shape(value)}: expected a number;"
                    " use A[...] = np.where(mask, B, A)"
                )
            value = self._checked_value(value, ())
            same("setitem", self, mask, value)
        mask = self._local_operand(self._aligned(mask))
        self.local[np.broadcast_to(mask, self.local.shape)] = value

    def _checked_value(self, value: Any, shape: tuple[int, ...]) -> Any:
        """Return a value to assign, a matrix, an array or a number, or raise. Local."""
        if isinstance(value, MatrixBase):
            self.check_comm(value)
        elif np.ndim(value) == 0:
            value = operands.number(value, "value")
            if isinstance(value, int):
                float(value)  # raises on all ranks if it is too large
        else:
            value = operands.numbers(value, "value")
        dtype = np.dtype(type(value)) if np.ndim(value) == 0 else value.dtype
        if self.dtype.kind != "c" and dtype.kind == "c":
            raise TypeError(
                f"complex values for a matrix of {self.dtype}: the imaginary parts"
                " would be lost; convert the matrix with A.astype(complex), or assign"
                " the real part"
            )
        source = np.shape(value)
        if shape == () and isinstance(value, np.ndarray):
            raise ValueError(
                f"array of shape {source} for an element: expected a number"
            )
        while len(source) > len(shape) and source[0] == 1:
            source = source[1:]
        if len(source) > len(shape) or any(
            m not in {1, n} for m, n in zip(source[::-1], shape[::-1], strict=False)
        ):
            raise ValueError(
                f"could not broadcast input array from shape {np.shape(value)} into"
                f" shape {shape}"
            )
        return value


def _is_mask(key: Any) -> bool:
    matrix = isinstance(key, np.ndarray | MatrixBase) and key.ndim == 2
    return matrix and key.dtype.kind == "b"


def _owners(layout: Layout, rows: Array, cols: Array) -> Array:
    """Return the rank of each element."""
    position = layout.rows.owner(rows) * layout.cols.procs + layout.cols.owner(cols)
    return np.asarray(np.array(layout.ranks)[position])


def _last_of_each(indices: Indices) -> tuple[Indices, Indices]:
    """Return the numbers k of the last occurrence of each index, and the indices."""
    if isinstance(indices, range):
        return range(len(indices)), indices
    distinct, numbers = np.unique(indices[::-1], return_index=True)
    return indices.size - 1 - numbers, distinct


def resized_layout(layout: Layout, shape: tuple[int, int], size: int) -> Layout:
    """Return a layout for a matrix of another shape, as in `Indexing.__getitem__`."""
    if shape == layout.shape:
        return layout
    similar = replace(
        layout,
        rows=_resized_axis(layout.rows, shape[0]),
        cols=_resized_axis(layout.cols, shape[1]),
    )
    default = Layout.balanced(shape, size)
    largest = MAX_IMBALANCE * _largest_share(default)
    return similar if _largest_share(similar) <= largest else default


def _resized_axis(axis: Axis, n: int) -> Axis:
    """Return an axis of n indices; its blocks are smaller if it needs more of them."""
    balanced = Axis.contiguous(n, axis.procs)
    if n == axis.n:
        return axis
    if axis.block * axis.procs >= axis.n:  # contiguous
        return balanced
    return replace(balanced, block=min(balanced.block, axis.block))


def _largest_share(layout: Layout) -> int:
    """Return the largest number of elements of a rank: coordinate 0 has the most."""
    return layout.rows.count(0) * layout.cols.count(0)
