"""NumPy's functions of arrays that are element-wise, select elements, or create."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from operator import index
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.device.arrays import array_module
from mpiapps.linalg import operands
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import check_dtype
from mpiapps.linalg.operators import elementwise
from mpiapps.linalg.reductions import diagonal

# Functions of NumPy that are element-wise, but not ufuncs.
ELEMENTWISE = (
    np.angle, np.imag, np.iscomplex, np.isclose, np.isreal, np.nan_to_num, np.real,
    np.sinc, np.where,
)  # fmt: skip


def clip(  # noqa: PLR0913 - the signature of `numpy.clip`
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    out: DistMatrix | None = None,
    *,
    min: Any = None,
    max: Any = None,
) -> DistMatrix:
    """Return the elements limited to an interval. Collective; as `numpy.clip`."""
    check_out("np.clip", out)
    low, high = a_min if min is None else min, a_max if max is None else max
    result = a if low is None else np.maximum(a, low)
    result = result if high is None else np.minimum(result, high)
    return stored(result.copy() if result is a else result, out)


def rounded(
    a: DistMatrix, decimals: int = 0, out: DistMatrix | None = None
) -> DistMatrix:
    """Return the elements rounded to decimals. Collective; as `numpy.round`."""
    check_out("np.round", out)
    return stored(elementwise(np.round, a, decimals), out)


def check_out(call: str, *outs: Any) -> None:
    """Raise `TypeError` if an `out` is not a `DistMatrix`, or None. Local."""
    for out in outs:
        if out is not None and not isinstance(out, DistMatrix):
            raise TypeError(
                f"{call} with out of type {type(out).__name__}: expected a DistMatrix;"
                " for an array x, use x = A.to_all()"
            )


def stored(result: DistMatrix, out: Any) -> DistMatrix:
    """Return `result`, or `out` with its elements. Collective."""
    if out is None:
        return result
    positive: Callable[..., DistMatrix] = np.positive
    return positive(result, out=out)


def triangle(a: DistMatrix, k: int = 0, *, lower: bool) -> DistMatrix:
    """Return the elements on and below, or above, diagonal k; else 0. Collective."""
    i, j = a.row_indices[:, None], a.col_indices[None, :]

    def masked(local: Array) -> Array:
        kept = j - i <= index(k) if lower else j - i >= index(k)
        return np.where(kept, local, local.dtype.type(0))

    return a._map(f"{'tril' if lower else 'triu'} {k}", masked, (a,))


def filled(a: DistMatrix, value: Any, dtype: npt.DTypeLike | None = None) -> DistMatrix:
    """Return a matrix of A's shape and layout, filled with a value. Collective.

    A number, or a matrix or array that broadcasts.
    """
    with raise_together(a.comm) as same:
        to = a.dtype if dtype is None else check_dtype(dtype)
        same("full_like", to.str)
        if not isinstance(value, DistMatrix) and np.ndim(value):
            value = operands.numbers(value, "fill_value")

    def fill(local: Array, part: Any) -> Array:
        if np.iscomplexobj(part) and to.kind == "f":
            raise TypeError(
                f"fill_value is complex, but the matrix {to}; give dtype=complex"
            )
        result: Array = array_module(local).empty(local.shape, to)
        result[...] = part
        return result

    return a._map("full_like", fill, (a, value))


def take(a: DistMatrix, indices: Any, axis: int | None = None) -> Any:
    """Return rows (axis 0) or columns (axis 1). Collective; as indexing."""
    with raise_together(a.comm) as same:
        if axis is None:
            raise TypeError("np.take would flatten the matrix; give axis=0 or axis=1")
        axis = normalize_axis_index(axis, 2)
        same("take", axis)
        key = np.asarray(indices)  # booleans are indices, too: 0 and 1
        key = key.astype(np.intp, casting="same_kind" if key.size else "unsafe")
    return a[:, key] if axis else a[key]


def transpose(a: DistMatrix, axes: Any = None) -> DistMatrix:
    """Return the transpose, or a copy for the axes 0, 1. Collective."""
    with raise_together(a.comm) as same:
        order = normalize_axis_tuple((1, 0) if axes is None else axes, 2)
        same("transpose", order)
        if len(order) != 2:
            raise ValueError(f"axes {axes}: expected (1, 0) or (0, 1)")
    return a.T if order[0] else a.copy()


ARRAY_FUNCTIONS: Mapping[Callable[..., Any], Callable[..., Any]] = {
    **{function: partial(elementwise, function) for function in ELEMENTWISE},
    np.clip: clip,
    np.copy: DistMatrix.copy,
    np.diag: diagonal,
    np.diagonal: lambda a, offset=0: diagonal(a, offset),
    np.empty_like: lambda prototype, dtype=None: filled(prototype, 0, dtype),
    np.fliplr: lambda m: m[:, ::-1],
    np.flipud: lambda m: m[::-1],
    np.full_like: lambda a, fill_value, dtype=None: filled(a, fill_value, dtype),
    np.iscomplexobj: lambda x: x.dtype.kind == "c",
    np.isrealobj: lambda x: x.dtype.kind != "c",
    np.ndim: lambda a: a.ndim,
    np.round: rounded,
    np.ones_like: lambda a, dtype=None: filled(a, 1, dtype),
    np.shape: lambda a: a.shape,
    np.size: lambda a, axis=None: a.size if axis is None else a.shape[axis],
    np.take: take,
    np.transpose: transpose,
    np.tril: partial(triangle, lower=True),
    np.triu: partial(triangle, lower=False),
    np.zeros_like: lambda a, dtype=None: filled(a, 0, dtype),
}
