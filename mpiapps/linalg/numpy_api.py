"""The NumPy functions that accept distributed matrices.

Other functions raise `TypeError`: no function gathers the matrix implicitly. All are
collective; array operands must be bitwise the same on all ranks, and their checksums
are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

import numpy as np

from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.array_functions import ARRAY_FUNCTIONS
from mpiapps.linalg.axis_reductions import REDUCTIONS
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.concatenation import CONCATENATIONS
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.eigh import eigh, eigvalsh
from mpiapps.linalg.lstsq import lstsq
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
    whole = DistMatrix.from_all(matrix.comm, other)
    whole = whole.to_device() if matrix.is_on_device else whole
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
    return FUNCTIONS[function](*args, **options)


def _name(function: Callable[..., Any]) -> str:
    return f"{function.__module__.replace('numpy', 'np')}.{function.__name__}"


def _norm(a: DistMatrix, ord: Any = None) -> float:  # noqa: A002 - NumPy's name
    if ord not in ORDERS:
        raise ValueError(
            f"norm {ord!r} is not one of {', '.join(map(repr, ORDERS))}; the 2-norm is"
            " the first element of mpiapps.linalg.svd.singular_values"
        )
    return norm(a, ORDERS[ord])


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


def _all(test: Callable[[Any, Any], bool], a: Any, b: Any) -> bool:
    """Return whether `test` holds for the local operands of all ranks. Collective."""
    like = a if isinstance(a, DistMatrix) else b
    if np.shape(a) != np.shape(b):
        return False
    a, b = like._aligned(a), like._aligned(b)
    with raise_together(like.comm) as same:
        same("compare", a, b)
        result = test(like._local_operand(a), like._local_operand(b))
    return all(like.comm.allgather(result))


FUNCTIONS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    np.allclose: lambda a, b, **options: _all(partial(np.allclose, **options), a, b),
    np.array_equal: lambda a, b: _all(np.array_equal, a, b),
    np.dot: matmul,
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
