"""The methods of NumPy's arrays that a distributed matrix has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Self

import numpy as np

from mpiapps.linalg.indexing import Indexing


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that calls a NumPy function, which calls `numpy_api`."""

    def method(self: Any, *args: Any, **options: Any) -> Any:
        return function(self, *args, **options)

    method.__name__ = function.__name__
    method.__doc__ = f"Return ``np.{function.__name__}(A, ...)``. Collective."
    return method


class ArrayMethods(Indexing):
    """NumPy's methods of a `DistMatrix`, and Python's protocols. Collective."""

    sum, prod, mean = _method(np.sum), _method(np.prod), _method(np.mean)
    std, var, ptp = _method(np.std), _method(np.var), _method(np.ptp)
    min, max = _method(np.min), _method(np.max)
    argmin, argmax = _method(np.argmin), _method(np.argmax)
    any, all = _method(np.any), _method(np.all)
    clip, round = _method(np.clip), _method(np.round)
    conj, conjugate = _method(np.conj), _method(np.conj)
    _transpose = _method(np.transpose)
    dot, trace, diagonal = _method(np.dot), _method(np.trace), _method(np.diagonal)
    # These raise an error with a remedy.
    reshape, ravel, flatten = (
        _method(np.reshape),
        _method(np.ravel),
        _method(np.ravel),
    )
    cumsum, sort = _method(np.cumsum), _method(np.sort)

    def transpose(self, *axes: Any) -> Self:
        """Return ``np.transpose(A, axes)``. Collective."""
        transposed: Self = self._transpose(axes[0] if len(axes) == 1 else axes or None)
        return transposed

    @property
    def real(self) -> Self:
        """The real parts; a copy, unlike in NumPy. Collective."""
        return self._map("real", np.real, (self,))

    @property
    def imag(self) -> Self:
        """The imaginary parts; a copy, unlike in NumPy. Collective."""
        return self._map("imag", np.imag, (self,))

    def __len__(self) -> int:
        """Return the number of rows. Local."""
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """Yield each row, an array on every rank. Each step is collective."""
        return (self[i] for i in range(len(self)))

    def __contains__(self, value: Any) -> bool:
        """Return whether an element equals `value`. Collective."""
        return bool((self == value).any())

    def item(self) -> Any:
        """Return the only element as a Python number. Collective.

        Raises
        ------
        ValueError
            If there are more elements, or none.
        """
        if self.size != 1:
            raise ValueError(
                f"the matrix is {self.shape[0]} x {self.shape[1]}: only a matrix of one"
                " element can be converted to a Python number; A[i, j] is an element"
            )
        return self[0, 0].item()

    def __bool__(self) -> bool:
        """Return whether the only element is not zero. Collective."""
        if self.size != 1:
            raise ValueError(
                "The truth value of a matrix with more than one element, or none, is"
                " ambiguous; use A.any() or A.all()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        """Return the only element. Collective."""
        return float(self.item())

    def __complex__(self) -> complex:
        """Return the only element. Collective."""
        return complex(self.item())

    def __int__(self) -> int:
        """Return the only element, truncated. Collective."""
        return int(self.item())

    def __copy__(self) -> Self:
        """Return a copy, for `copy.copy`. Local."""
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return a copy on the same communicator, for `copy.deepcopy`. Local."""
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        """Raise: a communicator cannot be pickled."""
        raise TypeError(
            f"{self!r} cannot be pickled or sent: each rank holds a part, and the"
            " communicator belongs to this run; send A.to_root() or A.local, or write a"
            " file with mpiapps.linalg.files.write"
        )
