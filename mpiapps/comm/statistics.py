"""Mean, histogram and quantiles of an array of which each rank has a block.

The blocks are arrays of any number of dimensions, in any memory order, also empty, of
one dtype: bool, integers, or float16 to float64. Results are on every rank, and have
the same bits for any number of ranks and any blocks.

All functions are collective; bad arguments, or different ones on different ranks, raise
the same error on all ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Literal, SupportsIndex

import numpy as np
import numpy.typing as npt

from mpiapps.comm.chunking import Array, checked_dtype
from mpiapps.comm.consistency import raise_together
from mpiapps.comm.exact_sums import flat_block, nearest_float, sum_and_count
from mpiapps.comm.order_statistics import order_statistics
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.mpi import MPI

Method = Literal["linear", "lower", "higher", "midpoint", "nearest"]

# Methods that return an element, whose index they round to an integer.
ROUNDING: dict[str, Callable[[Array], Array]] = {
    "lower": np.floor,
    "higher": np.ceil,
    "nearest": np.around,
}
METHODS = ("linear", "midpoint", *ROUNDING)


def mean(comm: Ranks, block: Array) -> float:
    """Return the mean of all elements. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm or World
    block : ndarray
        This rank's part of the array.

    Returns
    -------
    float
        The float next to the mean. Infinities and NaN give the result of `numpy.mean`,
        an empty array NaN and NumPy's warning.

    Raises
    ------
    TypeError, DisagreementError
        As `mpiapps.comm.exact_sums.exact_sum`.

    Notes
    -----
    Cost: that of `mpiapps.comm.exact_sums.exact_sum`.
    """
    total, count = sum_and_count(comm, block, "mean")
    if not count:
        return float(np.mean(np.empty(0)))
    return nearest_float(total / count) if isinstance(total, Fraction) else total


def histogram(
    comm: Ranks,
    block: Array,
    bins: SupportsIndex | npt.ArrayLike = 10,
    range: tuple[float, float] | None = None,  # noqa: A002 - its name in numpy.histogram
) -> tuple[Array, Array]:
    """Return the counts and edges of `numpy.histogram` of the array. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm or World
    block : ndarray
        This rank's part of the array.
    bins : int or array_like, 1-D
        Number of bins, or their edges, ascending.
    range : (float, float), optional
        The outer edges for a number of bins; default: the smallest and the largest
        element.

    Returns
    -------
    counts : ndarray of int64
    edges : ndarray

    Raises
    ------
    TypeError, ValueError
        As `numpy.histogram`; if `bins` is the name of an estimator, or of a dtype that
        is wider than float64.
    DisagreementError
        If dtypes, `bins` or `range` differ.

    Notes
    -----
    Cost: `numpy.histogram` of the block; two all-reduces of 24 bytes and one of 8 bytes
    per bin; without edges and range, an all-gather of some 300 bytes per rank.
    """
    comm = communicator(comm)
    with raise_together(comm) as same:
        block = flat_block(block)
        if isinstance(bins, str):
            raise ValueError(
                f"bins={bins!r}: an estimator needs the whole array; pass a number of"
                " bins or their edges"
            )
        given = np.asarray(bins)
        checked_dtype(given.dtype)
        _refuse_wide("bins", given)
        same("histogram", str(block.dtype), given, repr(range))
        if block.dtype == bool:
            block = block.view(np.uint8)  # numpy.histogram does so, with a warning
        ends = (block.min(), block.max()) if block.size else None
    limits = range
    if limits is None and given.ndim == 0:
        limits = _range_of_all(comm.allgather(ends), block.dtype)
    with raise_together(comm):
        counts, edges = np.histogram(block, given if given.ndim else bins, limits)
        counts = counts.astype(np.int64, copy=False)
    comm.Allreduce(MPI.IN_PLACE, counts)
    return counts, edges


def quantiles(
    comm: Ranks, block: Array, q: npt.ArrayLike, method: Method = "linear"
) -> Any:
    """Return `numpy.quantile` of all elements, without gathering them. Collective.

    Parameters
    ----------
    comm : MPI.Intracomm or World
    block : ndarray
        This rank's part of the array.
    q : float or array_like of float, up to 2-D
        From 0 to 1.
    method : {'linear', 'lower', 'higher', 'midpoint', 'nearest'}

    Returns
    -------
    scalar or ndarray
        Of the shape of `q`, with dtype and bits of `numpy.quantile`; NaN if there is
        one in the array. For NumPy 0.0 and -0.0 are equal, and its result may be either
        if both are in the array; here -0.0 is before 0.0.

    Raises
    ------
    TypeError, ValueError
        As `numpy.quantile`, for other methods, and if `q` is of a dtype that is wider
        than float64.
    IndexError
        If the array is empty, as `numpy.quantile`.
    DisagreementError
        If dtypes, `q` or `method` differ.

    Notes
    -----
    Cost: a sorted copy of the block, if there are no NaN; all-reduces of 24 and 16
    bytes, and one per byte of the dtype (8 for float64), of up to 4 KiB per quantile:
    2 KiB for each of the two elements next to it, fewer while they share leading bits.
    """
    comm = communicator(comm)
    given: Any = q
    with raise_together(comm) as same:
        block = flat_block(block)
        if method not in METHODS:
            raise ValueError(f"method {method!r}: expected one of {', '.join(METHODS)}")
        orders: Any = np.asarray(q)
        if orders.dtype.kind not in "biuf":
            raise TypeError(f"q is of dtype {orders.dtype}; expected real numbers")
        _refuse_wide("q", orders)
        is_scalar = type(q) in (int, float)  # does not determine NumPy's dtype
        same("quantiles", str(block.dtype), orders, is_scalar, method)
        # Raises the errors of q and dtype; has the shape and dtype of the result.
        result = np.quantile(np.zeros(2, block.dtype), given, method=method)
        nan_count = np.count_nonzero(np.isnan(block)) if block.dtype.kind == "f" else 0
    totals = np.array([block.size, nan_count], np.int64)
    comm.Allreduce(MPI.IN_PLACE, totals)
    count, nan_count = totals.tolist()
    if count == 0 or nan_count:
        rest = np.full(min(count, 1), np.nan if nan_count else 0, block.dtype)
        return np.quantile(rest, given, method=method)
    low, high, weights = _neighbours(count, orders, method)
    pairs = order_statistics(comm, block, np.stack([low, high], axis=-1))
    if orders.ndim == 0:
        weight = type(given)(weights) if is_scalar else weights
        return np.quantile(pairs, weight, method=method)
    for place in np.ndindex(orders.shape):
        weight = weights[place].reshape(1)
        result[place] = np.quantile(pairs[place], weight, method=method)[0]
    return result


def _neighbours(
    count: int, orders: Array, method: Method
) -> tuple[Array, Array, Array]:
    """Return the indices next to quantiles, and the weights of the upper ones.

    `numpy.quantile` of the two elements with a weight as q is that of the array with
    `orders`: it multiplies q by n - 1, which is 1. Dtypes are those of its own steps.
    """
    virtual = np.asarray((count - 1) * orders)
    if np.isnan(virtual).any():
        raise ValueError(
            f"q is of dtype {orders.dtype}, too narrow for {count} elements: pass"
            " float64"
        )
    if method in ROUNDING:
        virtual = np.asarray(ROUNDING[method](virtual))
    is_last = virtual >= count - 1
    lower = np.where(is_last, 0, np.floor(virtual))
    low = np.where(is_last, count - 1, lower.astype(np.int64))
    weights = np.where(is_last, 0, virtual - lower).astype(virtual.dtype)
    return low, np.minimum(low + 1, count - 1), weights


def _refuse_wide(name: str, argument: Array) -> None:
    """Raise `TypeError` for longdouble, whose padding bytes differ between ranks."""
    if argument.dtype.kind == "f" and argument.dtype.itemsize > 8:
        raise TypeError(
            f"{name} is of dtype {argument.dtype}; expected at most float64: convert it"
            " with astype"
        )


def _range_of_all(ends: list[Any], dtype: np.dtype[Any]) -> tuple[Any, Any] | None:
    """Return the smallest and largest element of all ranks, if there are elements."""
    pairs = [pair for pair in ends if pair is not None]
    if not pairs:
        return None
    limits = np.array(pairs, dtype)
    low, high = limits[:, 0].min(), limits[:, 1].max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"autodetected range of [{low}, {high}] is not finite")
    return low, high
