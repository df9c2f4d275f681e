"""NumPy's universal functions of distributed matrices. All are collective."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mpiapps.comm.consistency import raise_together
from mpiapps.linalg.array_functions import check_out, stored
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.numpy_api import call, matmul, refuse
from mpiapps.linalg.operators import elementwise

# The functions that ``ufunc.reduce`` computes.
REDUCTIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.logical_and: np.all,
    np.logical_or: np.any,
}


def apply(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Return ``ufunc(*inputs, **options)``, or ``ufunc.reduce(...)``. Collective.

    Supported are `out` (a `DistMatrix`), `where` together with `out`, `dtype` and
    `casting`, and `reduce` of the functions in `REDUCTIONS`.
    """
    name = f"np.{ufunc.__name__}"
    if method == "reduce" and ufunc in REDUCTIONS:
        matrix, *positional = inputs
        named = dict(
            zip(("axis", "dtype", "out", "keepdims"), positional, strict=False)
        )
        given = {"axis": 0} | named | options
        given = {key: value for key, value in given.items() if value is not None}
        return call(REDUCTIONS[ufunc], (matrix,), {"axis": None} | given)
    if method != "__call__":
        refuse(f"{name}.{method}")
    outs = options.pop("out", (None,) * ufunc.nout)
    check_out(name, *outs)
    out = outs[0] if ufunc.nout == 1 else None
    supported = {"dtype", "casting"} | ({"where"} if out is not None else set())
    if unknown := options.keys() - supported:
        without = " without out" if "where" in unknown and ufunc.nout == 1 else ""
        refuse(f"{name} with {', '.join(sorted(unknown))}{without}")
    if ufunc is np.matmul:
        if options:
            refuse(f"{name} with {', '.join(options)}")
        product = matmul(*inputs)
        return product if out is None else _into(out, np.positive, (product,), {})
    if ufunc.signature is not None:
        refuse(name)
    if out is not None:
        return _into(out, ufunc, inputs, options)
    if ufunc.nout == 1:
        return elementwise(ufunc, *inputs, **options)
    results: list[Any] = []

    def one_result(number: int, *parts: Any, **options: Any) -> Any:
        if not results:  # the function is called once, and computes all
            results.extend(ufunc(*parts, **options))
        return results[number]

    computed = [
        elementwise(
            partial(one_result, number),
            *inputs,
            name=f"{ufunc.__name__}[{number}]",
            **options,
        )
        for number in range(ufunc.nout)
    ]
    return tuple(map(stored, computed, outs))


def _into(
    out: DistMatrix, ufunc: np.ufunc, inputs: tuple[Any, ...], options: dict[str, Any]
) -> DistMatrix:
    """Compute a function in the memory of `out`, and return it. Collective."""
    where = options.pop("where", True)
    operands = tuple(out._aligned(operand) for operand in (*inputs, where))
    with raise_together(out.comm) as same:
        same(f"np.{ufunc.__name__}", out, *operands, *sorted(options.items()))
        *parts, mask = (out._local_operand(operand) for operand in operands)
        # CuPy's ufuncs have no `where`.
        masked = {} if mask is True else {"where": mask}
        ufunc(*parts, out=out.local, **masked, **options)
    return out
