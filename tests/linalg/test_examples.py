"""Whatever the shapes, layouts, grids and dtypes: what NumPy finds.

Every rank draws the same examples, in the same order, on every run.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiapps.linalg.axis import Axis
from mpiapps.linalg.grid_choice import grids
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.solve import solve
from tests.linalg.cases import DTYPES, close, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]
same = settings(derandomize=True, database=None, deadline=None, max_examples=60)

dtypes = st.sampled_from(DTYPES)
ops = st.sampled_from(["N", "T", "H"])


def sides(size):
    """Sides of matrices: 0, 1, around the number of ranks, and any."""
    return st.sampled_from([0, 1, size - 1, size, size + 1]) | st.integers(0, 40)


@st.composite
def layouts(draw, shape, size):
    """Return any layout: axes in any blocks, over ranks in any order."""
    p = draw(st.integers(1, size))
    q = draw(st.integers(1, size // p))
    rows = Axis(shape[0], draw(st.integers(1, shape[0] + 2)), p)
    cols = Axis(shape[1], draw(st.integers(1, shape[1] + 2)), q)
    ranks = draw(st.permutations(range(size)))[: p * q]
    return Layout(rows, cols, tuple(ranks))


def test_redistribution(comm):
    @same
    @given(st.data())
    def check(data):
        shape = data.draw(sides(comm.size)), data.draw(sides(comm.size))
        old = data.draw(layouts(shape, comm.size))
        new = data.draw(layouts(shape, comm.size))
        x = whole(shape, data.draw(dtypes))
        close(spread(comm, x, old).redistribute(new), x, 0)

    check()


def test_products(comm):
    @same
    @given(st.data())
    def check(data):
        m, n, k = (data.draw(sides(comm.size)) for _ in range(3))
        op_a, op_b, dtype = data.draw(ops), data.draw(ops), data.draw(dtypes)
        turn = {"N": lambda x: x, "T": lambda x: x.T, "H": lambda x: x.conj().T}
        x = whole((m, k) if op_a == "N" else (k, m), dtype)
        y = whole((k, n) if op_b == "N" else (n, k), dtype)
        a = spread(comm, x, data.draw(layouts(x.shape, comm.size)))
        b = spread(comm, y, data.draw(layouts(y.shape, comm.size)))
        grid = data.draw(st.none() | st.sampled_from(list(grids(comm.size))))
        found = multiply(a, b, op_a=op_a, op_b=op_b, grid=grid)
        close(found, turn[op_a](x) @ turn[op_b](y))

    check()


def test_solutions(comm):
    @same
    @given(st.data())
    def check(data):
        n, r, dtype = data.draw(sides(comm.size)), data.draw(st.integers(0, 5)), "f8"
        x = whole((n, n), dtype) + n * np.eye(n)
        kind = data.draw(st.sampled_from(["general", "positive"]))
        if kind == "positive":
            x = x @ x.T + np.eye(n)
        y = whole((n, r), dtype)
        a = spread(comm, x, data.draw(layouts((n, n), comm.size)))
        b = spread(comm, y, data.draw(layouts((n, r), comm.size)))
        close(solve(a, b, kind=kind), np.linalg.solve(x, y), 500)

    check()


HUGE, TINY = 1e150, 1e-150


@pytest.mark.parametrize("scale", [HUGE, TINY])
def test_huge_and_tiny_entries(comm, scale):
    x = whole((12, 12)) * scale
    found = np.asarray(spread(comm, x) @ spread(comm, np.linalg.inv(x)))
    np.testing.assert_allclose(found, np.eye(12), atol=1e-10)
    y = whole((12, 2)) * scale
    found = np.asarray(solve(spread(comm, x), spread(comm, y)))
    np.testing.assert_allclose(found, np.linalg.solve(x, y), rtol=1e-8)


@pytest.mark.parametrize("kind", ["general", "positive"])
def test_an_ill_conditioned_system_has_a_small_residual(comm, kind):
    n = 10  # Hilbert's matrix: its condition number is 1.6e13
    i = np.arange(n)
    x = 1.0 / (i[:, None] + i + 1)
    y = x @ np.ones((n, 1))
    found = np.asarray(solve(spread(comm, x), spread(comm, y), kind=kind))
    assert np.abs(x @ found - y).max() <= 1e-14
    assert np.abs(found - 1).max() < 1e-2
