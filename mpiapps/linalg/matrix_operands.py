"""Operands of functions of matrices: what must be a matrix, what may be an array."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any, TypeVar, cast

import numpy as np

from mpiapps.linalg.distmatrix import DistMatrix

Function = TypeVar("Function", bound=Callable[..., Any])


def check_matrix(call: str, name: str, operand: Any) -> None:
    """Raise `TypeError` if an operand is not a `DistMatrix`. Local."""
    if not isinstance(operand, DistMatrix):
        raise TypeError(
            f"{call}: {name} is a {type(operand).__name__}; expected a DistMatrix."
            " DistMatrix.from_all(comm, array) makes one of an array on all ranks,"
            " from_root of the root's array"
        )


def of_matrix(function: Function) -> Function:
    """Decorate a function to raise `TypeError` if its `a` is not a `DistMatrix`.

    Each rank raises it alone, before any message: if only some ranks pass an array,
    the others wait for them.
    """
    position = list(signature(function).parameters).index("a")

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if "a" in options or len(arguments) > position:
            a = options["a"] if "a" in options else arguments[position]
            check_matrix(function.__name__, "a", a)
        return function(*arguments, **options)

    return cast(Function, call)


def as_matrix(a: DistMatrix, b: Any) -> tuple[DistMatrix, bool]:
    """Return a second operand as a matrix, and whether it is a vector. Collective.

    A replicated array of shape (n,) is a vector, and becomes a column; booleans become
    float64, as in NumPy.
    """
    if isinstance(b, DistMatrix):
        return b, False
    array = np.asanyarray(b)  # with its mask
    is_vector = array.ndim == 1
    array = array[:, None] if is_vector else array
    array = array.astype(float) if array.dtype.kind == "b" else array
    matrix = DistMatrix.from_all(a.comm, array)
    return matrix.to_device() if a.is_on_device else matrix, is_vector


def accept_arrays(solver: Function) -> Function:
    """Decorate a solver to accept a replicated array as second operand.

    The result for a vector is a vector on every rank, for a two-dimensional array a
    `DistMatrix`.
    """

    @wraps(solver)
    def call(a: DistMatrix, b: Any, **options: Any) -> Any:
        matrix, is_vector = as_matrix(a, b)
        result = solver(a, matrix, **options)
        return result.to_all()[:, 0] if is_vector else result

    return cast(Function, call)
