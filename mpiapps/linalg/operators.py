"""Operators and functions of NumPy on distributed matrices, element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, Self, overload

import numpy as np

from mpiapps.comm.agree import agree
from mpiapps.comm.cut import Array
from mpiapps.linalg import operands
from mpiapps.linalg.dtypes import NAMES
from mpiapps.linalg.matrix_base import MatrixBase


def elementwise(ufunc: np.ufunc, *given: Any) -> Any:
    """Return a function of NumPy, element by element, of a matrix and others.

    Collective; as `Operators.map`. The result has the first matrix's layout.
    """
    like = next(each for each in given if isinstance(each, Operators))
    return like._mapped(ufunc.__name__, ufunc, given)


class Operators(MatrixBase):
    """What a `DistMatrix` does element by element. All of it is collective.

    The other operand of an operator is a matrix, a number, or an array that broadcasts
    to the matrix and is the same on all ranks, as for `map`.
    """

    def map(self, function: Callable[..., Any], *others: Any) -> Self:
        """Return ``function(A, B, ...)`` element by element. Collective.

        Parameters
        ----------
        function : callable
            Takes and returns arrays of one shape, as NumPy's do. It is called with each
            rank's elements alone, which may be none; its result must have one dtype on
            all ranks, whatever the elements.
        others : DistMatrix, number or ndarray
            Matrices of another layout are brought to this one's. An array that
            broadcasts to the matrix must be the same on all ranks, to the last bit,
            which its checksum is compared for.

        Raises
        ------
        TypeError, ValueError
            On all ranks, if an operand does not fit, the result has another shape or a
            dtype that matrices do not have, or the ranks disagree on it.
        """
        return self._mapped("map", function, (self, *others))

    def _mapped(
        self,
        name: str,
        function: Callable[..., Any],
        given: tuple[Any, ...],
    ) -> Self:
        """Return `function` of the operands, element by element. Collective."""
        given = tuple(self._brought(each) for each in given)
        with agree(self.comm) as same:
            parts = [self._part(each) for each in given]
            made = operands.numbers(function(*parts), f"the result of {name}")
            if made.dtype.kind == "b":
                raise TypeError(
                    f"the result of {name} is of dtype bool, which no matrix has;"
                    " np.array_equal(A, B) and np.allclose(A, B) compare matrices, and"
                    " A.map(lambda a: (a > 0).astype(float)) makes ones and zeros"
                )
            if made.shape != self.local.shape:
                raise ValueError(
                    f"the function made {made.shape} of {self.local.shape}; it must"
                    " keep the shape"
                )
            made = operands.block(operands.own(made, *parts), self.local.shape)
            same(name, *given, NAMES[made.dtype])
        return self._alike(made)

    def _brought(self, other: Any) -> Any:
        """Return an operand, under this layout. Collective if it has another."""
        if not isinstance(other, MatrixBase) or other.layout == self.layout:
            return other
        with agree(self.comm) as same:
            same("operands", self, other)
            self._check_fits(other)
        return other._moved(self.layout)

    def _check_fits(self, other: MatrixBase) -> None:
        if other.shape != self.shape:
            raise ValueError(
                f"shapes {self.shape} and {other.shape} differ; they must be the same"
            )
        if other.comm != self.comm:
            raise ValueError("the matrices must lie on the same communicator")

    def _part(self, other: Any) -> Any:
        """Return what meets this rank's elements. Local."""
        if isinstance(other, MatrixBase):
            self._check_fits(other)
            return other.local
        if not isinstance(other, np.ndarray):
            operands.number(other, "operand")
            return other
        whole = np.atleast_2d(operands.numbers(other, "operand"))
        if np.broadcast_shapes(whole.shape, self.shape) != self.shape:
            raise ValueError(f"shapes {self.shape} and {other.shape} do not broadcast")
        rows = whole if whole.shape[0] == 1 else whole[self.row_indices]
        return rows if whole.shape[1] == 1 else rows[:, self.col_indices]

    def __neg__(self) -> Self:
        """Return ``-A``. Collective."""
        return self._mapped("negative", np.negative, (self,))

    def __abs__(self) -> Self:
        """Return ``abs(A)``, real. Collective."""
        return self._mapped("absolute", np.absolute, (self,))

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

    def __eq__(self, other: object) -> NoReturn:
        """Refuse what would make a matrix of truth values."""
        raise TypeError(
            "== between matrices would make a matrix of truth values, which there is"
            " not; np.array_equal(A, B) and np.allclose(A, B) compare matrices, and"
            " A is B compares objects"
        )

    __hash__ = object.__hash__  # of the object, since == does not compare elements

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any
    ) -> Any:
        """Do one of NumPy's functions element by element. Collective."""
        from mpiapps.linalg.numpy_api import matmul, refuse

        name = f"np.{ufunc.__name__}"
        if method != "__call__":
            refuse(f"{name}.{method}")
        if options:
            refuse(f"{name} with {', '.join(options)}")
        if ufunc is np.matmul:
            return matmul(*inputs)
        if ufunc.signature is not None or ufunc.nout != 1:
            refuse(name)
        return elementwise(ufunc, *inputs)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: Any,
        options: Any,
    ) -> Any:
        """Do one of NumPy's functions that `numpy_api` has. Collective."""
        from mpiapps.linalg.numpy_api import call

        return call(function, args, options)
