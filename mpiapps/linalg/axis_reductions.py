"""Reductions of a matrix with NumPy's names and arguments; results on every rank.

`REDUCTIONS` has the implementation of each NumPy function. All are collective. Results
are numbers, 1-D arrays, or with ``keepdims=True`` 2-D arrays, as in NumPy; so are NaN,
the dtypes, and the errors of empty matrices. Unless noted, the cost is an all-gather of
one value per local column (axis 0), local row (axis 1) or rank (no axis).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from mpiapps.comm.chunking import Array
from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.dtypes import BOOL, check_dtype
from mpiapps.linalg.moments import mean, std, var
from mpiapps.linalg.reductions import sums
from mpiapps.linalg.stacking import stacked

AxisOption = int | None
Compute = Callable[..., Any]  # takes a matrix, the axis, and named options


def reduce(a: DistMatrix, ufunc: np.ufunc, axis: AxisOption) -> Any:
    """Return ``ufunc.reduce(A, axis)`` of a matrix that is not empty. Collective.

    The values of the ranks are reduced in the order of the process grid.
    """
    values = stacked(a, ufunc.reduce(_or_none(a.local), axis=axis), axis)
    return ufunc.reduce(values, axis=0)


def _or_none(local: Array) -> Array:
    """Return a local block; if it is empty, one element whose value is not used."""
    return local if local.size else np.ones((1, 1), local.dtype)


def _extreme_index(a: DistMatrix, axis: AxisOption, extreme: np.ufunc) -> Any:
    """Return the index of the first largest or smallest element, or NaN. Collective.

    Cost: two all-gathers.
    """
    find = np.argmax if extreme is np.maximum else np.argmin
    local = _or_none(a.local)
    at = find(local, axis=axis)
    i, j = np.unravel_index(at, local.shape) if axis is None else (
        (at, np.arange(at.size)) if axis == 0 else (np.arange(at.size), at)
    )  # fmt: skip
    values = stacked(a, local[i, j], axis)
    if a.local.size:
        at = (
            a.row_indices[i] * a.shape[1] + a.col_indices[j]
            if axis is None
            else (a.row_indices[i] if axis == 0 else a.col_indices[j])
        )
    indices = stacked(a, np.asarray(at, np.int64), axis)
    best = extreme.reduce(values, axis=0)
    found = (values == best) | (np.isnan(values) & np.isnan(best))
    return np.where(found, indices, a.size).min(axis=0)


def _of_numbers(function: Compute) -> Compute:
    """Return a function of numbers, for which masks are converted."""
    return lambda a, *args, **options: function(
        a.astype(float) if a.dtype.kind == "b" else a, *args, **options
    )


def _with_ufunc(ufunc: np.ufunc) -> Compute:
    return lambda a, axis: reduce(a, ufunc, axis)


COMPUTE: Mapping[Callable[..., Any], Compute] = {
    np.sum: sums,
    np.prod: _with_ufunc(np.multiply),
    np.mean: _of_numbers(mean),
    np.std: _of_numbers(std),
    np.var: _of_numbers(var),
    np.max: _with_ufunc(np.maximum),
    np.min: _with_ufunc(np.minimum),
    np.ptp: lambda a, axis: reduce(a, np.maximum, axis) - reduce(a, np.minimum, axis),
    np.all: _with_ufunc(np.logical_and),
    np.any: _with_ufunc(np.logical_or),
    np.argmax: lambda a, axis: _extreme_index(a, axis, np.maximum),
    np.argmin: lambda a, axis: _extreme_index(a, axis, np.minimum),
    np.count_nonzero: lambda a, axis: sums(a.astype(bool), axis),
}
# NumPy adds and multiplies booleans as conditions.
OF_BOOLS = {np.sum: np.any, np.prod: np.all}
SPREADS = {np.std, np.var}
OPTIONS = {"axis", "dtype", "keepdims", "ddof"}


def _implementation(function: Callable[..., Any], compute: Compute) -> Compute:
    """Return the implementation of NumPy's reduction `function`. Local."""
    names = tuple(signature(function).parameters)

    def call(*args: Any, **named: Any) -> Any:
        # NumPy has compared the arguments with the signature.
        options = dict(zip(names, args, strict=False)) | named
        return _reduced(function, names, compute, options)

    return call


def _reduced(
    function: Callable[..., Any],
    names: tuple[str, ...],
    compute: Compute,
    options: dict[str, Any],
) -> Any:
    """Check the arguments, and compute a reduction. Collective."""
    a = options.pop("a")
    name = f"np.{function.__name__}"
    if not isinstance(a, DistMatrix):
        raise TypeError(f"{name}: out and where must not be distributed matrices")
    with raise_together(a.comm) as same:
        options = {key: v for key, v in options.items() if v is not None}
        if unknown := options.keys() - OPTIONS:
            supported = sorted(OPTIONS.intersection(names))
            raise TypeError(
                f"{name} of a distributed matrix with {', '.join(sorted(unknown))};"
                f" supported are {', '.join(supported)}"
            )
        axis = _single_axis(options.pop("axis", None))
        if "dtype" in options:
            options["dtype"] = check_dtype(options["dtype"]).str
            if function not in OF_BOOLS and options["dtype"] == BOOL:
                raise TypeError(f"{name} with dtype=bool: expected a dtype of numbers")
        same(name, a, axis, options)
    if a.size == 0:
        return function(np.empty(a.shape, a.dtype), axis=axis, **options)
    keeps = options.pop("keepdims", False)
    if "dtype" in options:
        result = _of_dtype(function, a, axis, **options)
    else:
        result = compute(a, axis, **options)
    if keeps:
        return np.expand_dims(result, (0, 1) if axis is None else axis)
    return result


def _of_dtype(
    function: Callable[..., Any],
    a: DistMatrix,
    axis: AxisOption,
    *,
    dtype: str,
    **options: Any,
) -> Any:
    """Return a reduction of elements of `dtype`. Collective."""
    if dtype == BOOL:
        return COMPUTE[OF_BOOLS[function]](a, axis)
    if function in SPREADS:  # as in NumPy, deviations keep their precision
        wide = a.astype(np.result_type(a.dtype, dtype))
        return COMPUTE[function](wide, axis, **options).astype(dtype)
    return COMPUTE[function](a.astype(dtype), axis, **options)


def _single_axis(axis: Any) -> AxisOption:
    """Return the axis as 0, 1, or None for both; raise as NumPy does."""
    axes = (0, 1) if axis is None else normalize_axis_tuple(axis, 2)
    if len(axes) == 0:
        raise ValueError("axis=() reduces nothing; expected None, 0 or 1")
    return None if len(axes) == 2 else axes[0]


REDUCTIONS = {
    function: _implementation(function, compute)
    for function, compute in COMPUTE.items()
}
