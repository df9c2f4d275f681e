"""Element-wise operators and NumPy functions on distributed matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Self, overload

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from mpiapps.comm.chunking import Array
from mpiapps.comm.collectives import bcast
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import like, to_host
from mpiapps.linalg import operands
from mpiapps.linalg.dtypes import NAMES
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matrix_base import MatrixBase


def elementwise(
    function: Callable[..., Any], *inputs: Any, name: str = "", **options: Any
) -> Any:
    """Return an element-wise function of matrices and other operands. Collective.

    As `Operators.map`. The result has the layout of the first matrix that has its
    shape; a matrix of one row or column broadcasts, and is gathered on every rank.
    """
    matrices = [operand for operand in inputs if isinstance(operand, Operators)]
    first = next(
        (one for one in matrices if not any(map(one._broadcasts_to, matrices))),
        matrices[0],
    )
    first = first._of_result(inputs)
    name = name or function.__name__
    if options:
        function = partial(function, **options)
        name = f"{name} {sorted(options.items())}"
    return first._map(name, function, inputs)


class Operators(MatrixBase, NDArrayOperatorsMixin):
    """Element-wise operations of a `DistMatrix`. All are collective.

    NumPy's mixin maps each Python operator to a ufunc, in-place operators to one with
    `out`. The other operand is a matrix, a number, or a replicated array that
    broadcasts to the matrix, as for `map`.
    """

    def map(self, function: Callable[..., Any], *others: Any) -> Self:
        """Return ``function(A, B, ...)``, element-wise. Collective.

        Parameters
        ----------
        function : callable
            Takes and returns arrays of one shape, as ufuncs do. Called with the local
            elements, which may be none; the dtype of the result must be the same on
            all ranks, and so must not depend on the elements.
        others : DistMatrix, number or ndarray
            Matrices in another layout are redistributed. An array that broadcasts to
            the matrix must be bitwise the same on all ranks; checksums are compared.

        Raises
        ------
        TypeError, ValueError
            On all ranks, if an operand does not fit, the result has another shape or an
            unsupported dtype, or its dtype differs between ranks.
        """
        return self._map("map", function, (self, *others))

    def _map(
        self,
        name: str,
        function: Callable[..., Any],
        inputs: tuple[Any, ...],
    ) -> Self:
        """Return `function` of the operands, element-wise. Collective."""
        inputs = tuple(self._aligned(operand) for operand in inputs)
        with raise_together(self.comm) as same:
            parts = [self._local_operand(operand) for operand in inputs]
            result = operands.results(function(*parts), f"the result of {name}")
            if result.shape != self.local.shape:
                raise ValueError(
                    f"the function returned shape {result.shape}; expected"
                    f" {self.local.shape}, as it must keep the shape"
                )
            result = operands.block(operands.own(result, *parts), self.local.shape)
            same(name, *inputs, NAMES[result.dtype])
        return self._with_local(result)

    def _aligned(self, other: Any) -> Any:
        """Return an operand in this layout. Collective if redistributed.

        A matrix of one row or column is gathered if it broadcasts to this one.
        """
        if not isinstance(other, Operators) or other.layout == self.layout:
            return other
        broadcasts = other._broadcasts_to(self)
        with raise_together(self.comm) as same:
            same("operands", self, other)
            if not broadcasts:
                self._check_fits(other)
        if broadcasts:
            one = other._redistributed(Layout.on_one(other.shape, 0))
            return bcast(self.comm, to_host(one.local))
        return other._redistributed(self.layout)

    def _of_result(self, inputs: tuple[Any, ...]) -> Self:
        """Return this matrix, or one of the shape that arrays broadcast it to. Local.

        The elements of the latter are not set; it has the default layout.
        """
        arrays = [
            operand.shape for operand in inputs if isinstance(operand, np.ndarray)
        ]
        try:
            shape = np.broadcast_shapes(self.shape, *arrays)
        except ValueError:  # the ranks report it together
            return self
        if shape == self.shape or len(shape) != 2:
            return self
        layout = Layout.balanced(shape, self.comm.size)
        local = np.empty(layout.local_shape(self.comm.rank), self.dtype)
        return self._with_local(like(self.local, local), layout)

    def _broadcasts_to(self, other: MatrixBase) -> bool:
        """Return whether this is a row or a column that broadcasts to `other`."""
        return (
            self.shape != other.shape
            and self.comm == other.comm
            and all(m in {1, n} for m, n in zip(self.shape, other.shape, strict=True))
        )

    def _check_fits(self, other: MatrixBase) -> None:
        if other.shape != self.shape:
            raise ValueError(
                f"shapes {self.shape} and {other.shape} differ; expected the same"
            )
        self.check_comm(other)

    def _local_operand(self, other: Any) -> Any:
        """Return the part of an operand for the local elements. Local."""
        if isinstance(other, MatrixBase):
            self._check_fits(other)
            return other.local
        if not isinstance(other, np.ndarray):
            operands.number(other, "operand")
            return other
        whole = np.atleast_2d(operands.numbers(other, "operand"))
        if np.broadcast_shapes(whole.shape, self.shape) != self.shape:
            raise ValueError(
                f"an operand of shape {other.shape} does not broadcast to a matrix of"
                f" shape {self.shape}"
            )
        rows = whole if whole.shape[0] == 1 else whole[self.row_indices]
        part = rows if whole.shape[1] == 1 else rows[:, self.col_indices]
        return like(self.local, part)

    @overload
    def __matmul__(self, other: Self) -> Self: ...
    @overload
    def __matmul__(self, other: Array) -> Any: ...
    def __matmul__(self, other: Any) -> Any:
        """Return ``A @ B``; see `mpiapps.linalg.numpy_api.matmul`. Collective."""
        from mpiapps.linalg.numpy_api import matmul

        return matmul(self, other)

    def __rmatmul__(self, other: Array) -> Any:
        """Return ``x @ A`` for an array. Collective."""
        from mpiapps.linalg.numpy_api import matmul

        return matmul(other, self)

    __hash__ = object.__hash__  # by identity, because == does not compare elements

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any
    ) -> Any:
        """Apply a NumPy ufunc. Collective."""
        from mpiapps.linalg.ufuncs import apply

        return apply(ufunc, method, inputs, options)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Any,
        options: Any,
    ) -> Any:
        """Call the implementation of a NumPy function in `numpy_api`. Collective."""
        from mpiapps.linalg.numpy_api import call

        return call(function, args, options)
