import numpy as np
import pytest

from mpiapps.linalg.grid_choice import Grid, choose_grid, grids
from mpiapps.linalg.multiply import gram, multiply
from tests.linalg.cases import DTYPES, close, layouts, spread, whole

pytestmark = pytest.mark.mpi

SIZES = [(0, 0, 0), (1, 1, 1), (3, 4, 0), (0, 4, 3), (1, 9, 1), (5, 7, 11), (20, 17, 9)]
OPS = {"N": lambda x: x, "T": lambda x: x.T, "H": lambda x: x.conj().T}


@pytest.mark.parametrize("sizes", SIZES)
def test_any_layouts_give_the_product(comm, sizes):
    m, n, k = sizes
    x, y = whole((m, k)), whole((k, n))
    for la in layouts((m, k), comm.size):
        for lb in layouts((k, n), comm.size):
            close(spread(comm, x, la) @ spread(comm, y, lb), x @ y)


@pytest.mark.parametrize("sizes", SIZES)
def test_any_grid_gives_the_product(comm, sizes):
    m, n, k = sizes
    x, y = whole((m, k)), whole((k, n))
    a, b = spread(comm, x), spread(comm, y)
    for grid in grids(comm.size):
        close(multiply(a, b, grid=grid), x @ y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op_a", OPS)
@pytest.mark.parametrize("op_b", OPS)
def test_gemm_with_all_ops_and_dtypes(comm, dtype, op_a, op_b):
    m, n, k = 6, 5, 8
    x = whole((m, k) if op_a == "N" else (k, m), dtype)
    y = whole((k, n) if op_b == "N" else (n, k), dtype)
    z = whole((m, n), dtype)
    a, b, c = spread(comm, x), spread(comm, y), spread(comm, z)
    expected = (2 * OPS[op_a](x) @ OPS[op_b](y) - 3 * z).astype(dtype)
    found = multiply(a, b, c, alpha=2, beta=-3, op_a=op_a, op_b=op_b)
    close(found, expected)
    assert found.layout == c.layout
    close(c, z, 0)  # not changed


def test_mixed_dtypes_and_complex_factors(comm):
    x, y = whole((4, 5), "f4"), whole((5, 6), "c16")
    close(spread(comm, x) @ spread(comm, y), x @ y)
    x = whole((4, 5), "f4")
    found = multiply(spread(comm, x), spread(comm, x.T.copy()), alpha=2j)
    close(found, (2j * (x @ x.T)).astype("c8"))


def test_wide_panels_are_split_and_narrow_ones_merged(comm):
    x, y = whole((30, 1500)), whole((1500, 20))
    for la in layouts((30, 1500), comm.size):
        lb = layouts((1500, 20), comm.size)[0]
        close(spread(comm, x, la) @ spread(comm, y, lb), x @ y)


def test_a_gram_matrix_is_exactly_hermitian(comm):
    x = whole((40, 7), "c16")
    for layout in layouts((40, 7), comm.size):
        found = gram(spread(comm, x, layout))
        close(found, x.conj().T @ x)
        array = np.asarray(found)
        assert (array == array.conj().T).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(9, 5), (2, 30), (1, 1), (0, 3), (3, 0)])
def test_products_with_a_vector(comm, shape, dtype):
    x = whole(shape, dtype)
    right, left = (whole((n, 1), dtype)[:, 0] for n in shape[::-1])
    for layout in layouts(shape, comm.size):
        a = spread(comm, x, layout)
        before = a.local.copy()
        for found, expected in [(a @ right, x @ right), (left @ a, left @ x)]:
            assert found.shape == expected.shape
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
            np.add(found, 1, out=found)  # not a view of A
        np.testing.assert_array_equal(a.local, before)


def test_repeated_products_have_the_same_bits(comm):
    a, b = spread(comm, whole((60, 70))), spread(comm, whole((70, 50)))
    for grid in grids(comm.size):
        first, second = (multiply(a, b, grid=grid).local for _ in range(2))
        assert first.tobytes() == second.tobytes()


def test_mismatched_operands_are_refused(comm):
    a, b = spread(comm, whole((3, 4))), spread(comm, whole((3, 4)))
    with pytest.raises(ValueError, match="3 x 4 by 3 x 4: 4 columns, but 3 rows"):
        a @ b
    with pytest.raises(ValueError, match=r"C has shape \(3, 4\); expected \(3, 3\)"):
        multiply(a, b, a, op_b="T")
    with pytest.raises(ValueError, match="not one of N, T, H"):
        multiply(a, b, op_a="X")


def test_nan_does_not_spread_to_other_elements(comm):
    x, y = whole((6, 6)), np.eye(6)
    x[2, 3] = np.nan
    found = np.asarray(spread(comm, x) @ spread(comm, y))
    assert np.isnan(found[2]).all()
    assert not np.isnan(np.delete(found, 2, axis=0)).any()


def test_the_chosen_grid_is_the_cheapest():
    for size in (1, 2, 3, 4, 6, 7, 12, 16):
        for m, n, k in [(100, 100, 100), (10, 10, 10000), (10000, 10, 10)]:
            found = choose_grid(m, n, k, size)
            full = [g for g in grids(size) if g.size == size]
            best = min(g.received_elements(m, n, k) for g in full)
            assert found.received_elements(m, n, k) <= best * 1.0001
    assert choose_grid(512, 512, 131072, 8) == Grid(1, 1, 8)
    with pytest.raises(MemoryError, match="use more ranks"):
        choose_grid(1000, 1000, 1000, 4, memory=1000)
