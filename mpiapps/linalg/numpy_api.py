"""The NumPy functions that accept distributed matrices.

Other functions raise `TypeError`: no function gathers the matrix implicitly. All are
collective; array operands must be bitwise the same on all ranks, and their checksums
are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from inspect import signature
from typing import Any, NoReturn

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.array_functions import ARRAY_FUNCTIONS
from mpiapps.linalg.axis_reductions import REDUCTIONS
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.concatenation import CONCATENATIONS
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.eigh import eigh, eigvalsh
from mpiapps.linalg.lstsq import lstsq
from mpiapps.linalg.matrix_operands import as_matrix, check_matrix
from mpiapps.linalg.matvec import matvec, vecmat
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.reductions import norm, trace
from mpiapps.linalg.solve import inverse, solve
from mpiapps.linalg.svd import singular_values, svd

ORDERS = {None: "fro", "fro": "fro", 1: "1", np.inf: "inf"}


def matmul(a: Any, b: Any) -> Any:
    """Return ``A @ B``; one operand may be an array. Collective.

    Two matrices, or a matrix and a two-dimensional array: a `DistMatrix`, by
    `multiply`. A matrix and a vector: an array on every rank, by `matvec`
    or `vecmat`.
    """
    if isinstance(a, DistMatrix) and isinstance(b, DistMatrix):
        return multiply(a, b)
    a_first = isinstance(a, DistMatrix)
    matrix, other = (a, b) if a_first else (b, a)
    if np.ndim(other) == 1:
        return matvec(a, other) if a_first else vecmat(other, b)
    whole, _ = as_matrix(matrix, other)
    return multiply(matrix, whole) if a_first else multiply(whole, matrix)


def refuse(name: str) -> NoReturn:
    """Raise `TypeError` for an unsupported function. Local."""
    raise TypeError(
        f"{name} does not support distributed matrices; call it with A.to_all() if the"
        " matrix fits in memory, or use A.map with a function of the local elements."
        " Supported are all element-wise functions, np.matmul, and"
        f" {', '.join(sorted(map(_name, FUNCTIONS)))}"
    )


def call(function: Callable[..., Any], args: Any, options: Any) -> Any:
    """Return the result of the implementation of NumPy's `function`. Collective."""
    if function not in FUNCTIONS:
        refuse(_name(function))
    compute = FUNCTIONS[function]
    if function in OF_A_MATRIX and args:
        check_matrix(_name(function), "the first operand", args[0])
    try:
        return compute(*args, **options)
    except TypeError as error:
        _explain(error, function, args, options)
        raise


def _explain(
    error: TypeError, function: Callable[..., Any], args: Any, options: Any
) -> None:
    """Note which arguments a function supports, if it has not got these. Local."""
    parameters = signature(FUNCTIONS[function])
    try:
        parameters.bind(*args, **options)
    except TypeError:
        error.add_note(f"{_name(function)} of distributed matrices has {parameters}")


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__.replace('numpy', 'np')}.{function.__name__}"


def _norm(
    x: DistMatrix,
    ord: Any = None,  # noqa: A002 - NumPy's name
    axis: int | tuple[int, ...] | None = None,
    keepdims: bool = False,
) -> Any:
    """Return a norm of the matrix, or the 2-norms of columns or rows. Collective."""
    x = x.astype(float) if x.dtype.kind == "b" else x
    with raise_together(x.comm) as same:
        same("np.linalg.norm", x, ord, axis, bool(keepdims))
        axes = normalize_axis_tuple((0, 1) if axis is None else axis, 2)
        orders = {None: "", 2: ""} if len(axes) == 1 else ORDERS
        is_known = isinstance(ord, Hashable) and ord in orders
        if not is_known:
            raise ValueError(
                f"norm {ord!r} is not one of {', '.join(map(repr, orders))}; the 2-norm"
                " of a matrix is the first element of"
                " mpiapps.linalg.svd.singular_values"
            )
    if len(axes) == 1:
        return np.sqrt(np.sum(np.square(np.abs(x)), axis=axes[0], keepdims=keepdims))
    with np.errstate(over="ignore"):  # as in NumPy
        size = norm(x if axes == (0, 1) else x.T, ORDERS[ord])
        result = x.local.real.dtype.type(size)
    return np.full((1, 1), result) if keepdims else result


def _svd(
    a: DistMatrix,
    full_matrices: bool = True,
    compute_uv: bool = True,
    hermitian: bool = False,
) -> Any:
    with raise_together(a.comm) as same:
        same("svd", full_matrices, compute_uv, hermitian)
        if hermitian:
            raise TypeError("hermitian=True is not available; use np.linalg.eigh")
        if compute_uv and full_matrices and a.shape[0] != a.shape[1]:
            raise TypeError(
                "the full matrices of a singular value decomposition are not available;"
                " use full_matrices=False"
            )
    return svd(a) if compute_uv else singular_values(a)


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    """Return whether shapes and elements are equal. Collective."""
    first = a1 if isinstance(a1, DistMatrix) else a2
    a1, a2 = (a if isinstance(a, DistMatrix) else np.asarray(a) for a in (a1, a2))
    with raise_together(first.comm) as same:
        same("array_equal", a1.shape, a2.shape, bool(equal_nan))
    if a1.shape != a2.shape:
        return False
    a1, a2 = first._aligned(a1), first._aligned(a2)
    with raise_together(first.comm) as same:
        same("array_equal", a1, a2)
        parts = first._local_operand(a1), first._local_operand(a2)
        result = np.array_equal(*parts, equal_nan=equal_nan)
    return all(first.comm.allgather(result))


def _allclose(
    a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False
) -> bool:
    """Return whether all elements are close. Collective; as `numpy.allclose`."""
    return bool(np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan).all())


def _dot(a: Any, b: Any) -> Any:
    return np.multiply(a, b) if 0 in {np.ndim(a), np.ndim(b)} else matmul(a, b)


FUNCTIONS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    np.allclose: _allclose,
    np.array_equal: _array_equal,
    np.dot: _dot,
    np.linalg.cholesky: cholesky,
    np.linalg.eigh: lambda a, UPLO="L": eigh(a, UPLO=UPLO),  # noqa: N803 - NumPy's name
    np.linalg.eigvalsh: lambda a, UPLO="L": eigvalsh(a, UPLO=UPLO),  # noqa: N803 - NumPy's name
    np.linalg.inv: inverse,
    np.linalg.lstsq: lstsq,
    np.linalg.norm: _norm,
    np.linalg.solve: solve,
    np.linalg.svd: _svd,
    np.linalg.svdvals: singular_values,
    np.trace: trace,
    **REDUCTIONS,
    **ARRAY_FUNCTIONS,
    **CONCATENATIONS,
}
# NumPy calls these for a matrix as any operand, but it must be the first one.
OF_A_MATRIX = {np.full_like, np.linalg.lstsq, np.linalg.solve, np.take}
