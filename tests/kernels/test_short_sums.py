"""Sums and means of few numbers have the bits of those of states."""

import numpy as np
import pytest

from mpiapps.kernels.digit_sums import LANES
from mpiapps.kernels.reproducible_sums import (
    MAGNITUDE,
    MOST,
    add_columns,
    finished,
    new_state,
    of_short,
)
from mpiapps.kernels.short_sums import NARROW
from tests.kernels.test_reproducible_sums import KINDS, numbers

MANY = LANES + NARROW + 1  # more than the kernel takes at a time
PLACES = ["columns", "rows", "components"]


def expected(x, mask, count):
    state = new_state(x.shape[1])
    add_columns(np.ascontiguousarray(x).reshape(-1), 0, *x.shape[::-1], mask, state)
    return finished(state, count)


def found(x, place, mask, count):
    n, k = x.shape
    result = np.empty((1 + (count is not None), k))
    if place == "columns":
        of_short(x.reshape(-1), (0, 1, k, n), mask, count, result)
    elif place == "rows":
        rows = np.ascontiguousarray(x.T)
        of_short(rows.reshape(-1), (0, n, 1, n), mask, count, result)
    else:
        rows = np.stack([np.ones((k, n), x.dtype), x.T], axis=-1)
        of_short(rows.reshape(-1), (1, 2 * n, 2, n), mask, count, result)
    return result


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, MANY), (7, NARROW), (MOST, MANY)])
def test_the_bits_are_those_of_states(n, k, kind, place):
    x = numbers(kind, (n, k))
    with np.errstate(all="ignore"):
        single = x.astype(np.float32)
        for mask in (-1, int(MAGNITUDE)):
            for y in (x, single):
                sums = found(y, place, mask, None)
                assert sums.tobytes() == expected(y, mask, None).tobytes()
        means = found(x, place, -1, n)
        assert means.tobytes() == expected(x, -1, n).tobytes()


@pytest.mark.parametrize("place", PLACES)
def test_sums_that_cancel_are_zero(place):
    x = np.array([[1e300, -0.0, 2.0], [-1e300, -0.0, -2.0]])
    assert found(x, place, -1, None).tobytes() == np.zeros(3).tobytes()


@pytest.mark.parametrize("place", PLACES)
def test_infinities_and_nan_are_those_of_numpy(place):
    x = np.array([[np.inf, np.inf, 1e308, 1.0], [-np.inf, 1.0, 1e308, np.nan]])
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(found(x, place, -1, None)[0], x.sum(axis=0))
