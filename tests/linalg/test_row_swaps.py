"""Permutations of rows, as LAPACK's laswp makes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg.lapack import dgetrf, dlaswp

from mpiapps.linalg.row_swaps import permutation_of, swaps_of


@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_swaps_of_getrf_give_its_permutation(n):
    x = np.random.default_rng(n).standard_normal((n, n))
    pivots = dgetrf(x)[1]
    order = permutation_of(n, 0, pivots.astype(np.int64))
    assert np.array_equal(dlaswp(x, pivots), x[order])


@given(st.permutations(range(9)), st.integers(0, 9))
def test_swaps_bring_rows_to_the_top(order, count):
    rows = np.array(order, np.int64)[:count]
    pivots = swaps_of(rows)
    assert (pivots >= np.arange(count)).all()
    assert np.array_equal(permutation_of(9, 0, pivots)[:count], rows)
