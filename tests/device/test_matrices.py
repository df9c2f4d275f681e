"""Matrices on devices give the results of those in host memory, with few transfers."""

import numpy as np
import pytest

from mpiapps.comm.consistency import DisagreementError
from mpiapps.linalg import factorization, operands
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.grid_choice import grids
from mpiapps.linalg.lu import lu
from mpiapps.linalg.multiply import gram, multiply
from mpiapps.linalg.schedule import comm_sizes, summa_product
from mpiapps.linalg.solve import factorise, solve
from mpiapps.linalg.trsm import solve_triangular
from tests.linalg.cases import close, layouts, spread, whole
from tests.linalg.test_factors import positive

pytestmark = [pytest.mark.mpi, pytest.mark.usefixtures("cupy")]
every_way = pytest.mark.usefixtures("messages")

# Tall, wide, square, primes, one element, none.
SIZES = [(40, 3, 5), (3, 40, 5), (4, 5, 60), (16, 16, 16), (7, 11, 13), (1, 1, 1)]
SIZES += [(0, 0, 0), (3, 4, 0), (0, 4, 3)]
DTYPES = ["f4", "f8", "c16"]


def on_host(matrix):
    assert matrix.is_on_device
    return matrix.to_host()


@pytest.mark.parametrize(
    ("sizes", "dtype"),
    [*((sizes, "f8") for sizes in SIZES), ((7, 11, 13), "f4"), ((7, 11, 13), "c16")],
)
def test_products_in_any_layout(ranks, sizes, dtype):
    m, n, k = sizes
    x, y = whole((m, k), dtype), whole((k, n), dtype)
    left, right = layouts(x.shape, ranks.size), layouts(y.shape, ranks.size)
    for la, lb in zip(left, right[::-1], strict=True):
        a, b = spread(ranks, x, la).to_device(), spread(ranks, y, lb).to_device()
        close(on_host(a @ b), x @ y)


@every_way
@pytest.mark.parametrize("delayed", [False, True])
def test_products_on_any_grid(cupy, ranks, delayed):
    x, y = whole((20, 900)), whole((900, 17))
    a, b = spread(ranks, x).to_device(), spread(ranks, y).to_device()
    cupy.delayed = delayed
    for grid in grids(ranks.size):
        close(on_host(multiply(a, b, grid=grid)), x @ y)


@pytest.mark.parametrize("op_a", "NTH")
@pytest.mark.parametrize("op_b", "NTH")
def test_all_arguments_of_gemm(ranks, op_a, op_b):
    x, y, z = whole((6, 6), "c16"), whole((6, 6), "c16", 1), whole((6, 6), "c16", 2)
    a, b, c = (spread(ranks, each) for each in (x, y, z))
    options = {"alpha": 2j, "beta": -3, "op_a": op_a, "op_b": op_b}
    expected = multiply(a, b, c, **options).to_all()
    devices = [matrix.to_device() for matrix in (a, b, c)]
    close(on_host(multiply(*devices, **options)), expected)


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        *(((60, 5), dtype) for dtype in DTYPES),
        *((shape, "c16") for shape in ((5, 60), (17, 17), (1, 1), (0, 3), (3, 0))),
    ],
)
def test_a_gram_matrix_is_exactly_hermitian(ranks, shape, dtype):
    x = whole(shape, dtype)
    for layout in layouts(shape, ranks.size):
        found = on_host(gram(spread(ranks, x, layout).to_device()))
        close(found, x.conj().T @ x)
        array = found.to_all()
        assert (array == array.conj().T).all()


@pytest.fixture(params=[1, -1], ids=["on rank 0", "on all ranks"])
def small(request, monkeypatch):
    monkeypatch.setattr(factorization, "PANEL_SECONDS", request.param)


@every_way
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("n", "block", "dtype"),
    [*((17, 3, dtype) for dtype in DTYPES), *((n, None, "f8") for n in (0, 1, 17))],
)
def test_cholesky(ranks, n, block, dtype):
    x = positive(n, dtype)
    found = on_host(cholesky(spread(ranks, x).to_device(), block))
    close(found, np.linalg.cholesky(x) if n else x)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("block", [3, None])
@pytest.mark.parametrize("minor", [1, 4, 9])
def test_the_error_of_cholesky_is_that_of_the_host(ranks, minor, block):
    x = np.eye(9)
    x[minor - 1, minor - 1] = -1
    texts = []
    for matrix in (spread(ranks, x), spread(ranks, x).to_device()):
        with pytest.raises(np.linalg.LinAlgError) as caught:
            cholesky(matrix, block)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    assert f"order {minor}" in texts[0]


@every_way
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("n", "block", "dtype"),
    [*((17, 3, dtype) for dtype in DTYPES), *((n, None, "f8") for n in (1, 17))],
)
def test_lu(ranks, n, block, dtype):
    x = whole((n, n), dtype)
    found, expected = (
        lu(spread(ranks, x).to_device(), block),
        lu(spread(ranks, x), block),
    )
    close(on_host(found.factors), expected.factors.to_all())
    assert (found.rows == expected.rows).all()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("block", [3, None])
def test_the_error_of_lu_has_the_column(ranks, block):
    x = whole((7, 7))
    x[:, 4] = 0
    with pytest.raises(np.linalg.LinAlgError, match="column 4 has no nonzero pivot"):
        lu(spread(ranks, x).to_device(), block)


@every_way
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("op", "NTH")
def test_triangular_solves(ranks, lower, op):
    x, y = whole((17, 17), "c16") + 9 * np.eye(17), whole((17, 4), "c16")
    options = {"lower": lower, "op": op}
    expected = solve_triangular(spread(ranks, x), spread(ranks, y), **options)
    devices = spread(ranks, x).to_device(), spread(ranks, y).to_device()
    close(on_host(solve_triangular(*devices, **options)), expected.to_all())


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["general", "positive"])
@pytest.mark.parametrize(
    ("n", "dtype"), [*((17, dtype) for dtype in DTYPES), (1, "f8")]
)
def test_solve(ranks, kind, n, dtype):
    x, y = positive(n, dtype), whole((n, 3), dtype)
    a, b = spread(ranks, x).to_device(), spread(ranks, y).to_device()
    for factors in (None, factorise(a, kind)):
        found = on_host(solve(a, b, kind=kind, factors=factors))
        rest = np.abs(x @ found.to_all() - y).max()
        assert rest <= 20 * n * np.finfo(dtype).eps * np.abs(x).max()
    assert found.layout == b.layout


def test_a_vector_is_solved_for(ranks):
    x, y = positive(9), whole((9, 1))[:, 0]
    found = solve(spread(ranks, x).to_device(), y)
    assert np.allclose(x @ found, y)


def test_a_block_goes_to_the_device_once_and_back_once(cupy, ranks):
    # Each rank has rows of A and of C; B is replicated through host memory.
    n = 64 * ranks.size
    x, y = whole((n, 64)), whole((64, 8))
    rows = layouts(x.shape, ranks.size)[1]
    a, b = spread(ranks, x, rows), spread(ranks, y).to_device()
    cupy.counts.clear()
    c = a.to_device() @ b
    close(c.to_host(), x @ y)
    several = ranks.size > 1
    assert cupy.counts["gemm"] == 1
    assert cupy.counts["uploads"] == 1 + several
    assert cupy.counts["downloads"] == 1 + several


def test_a_part_of_a_panel_is_one_transfer_on_each_rank(cupy, ranks):
    x, y = whole((8, 2048)), whole((2048, 8))
    a, b = spread(ranks, x), spread(ranks, y)
    for grid in (grid for grid in grids(ranks.size) if grid.pk == 1):
        layouts = grid.layouts(8, 8, 2048)
        parts = [m.redistribute(to) for m, to in zip((a, b), layouts[:2], strict=True)]
        devices = [part.to_device() for part in parts]
        cupy.counts.clear()
        multiply(*devices, grid=grid)
        panels = list(summa_product(grid, layouts, ranks.rank))
        sizes = comm_sizes(grid, ranks.size)
        messages = [s for steps in panels for s in steps if s.op == "bcast"]
        expected = sum(sizes[step.comm] > 1 for step in messages)
        assert cupy.counts["uploads"] + cupy.counts["downloads"] == expected
        assert cupy.counts["gemm"] == len(panels)


def test_matrices_in_different_memories_are_refused(ranks):
    a = spread(ranks, whole((3, 3)))
    with pytest.raises(ValueError, match="to_device or to_host"):
        multiply(a, a.to_device())


def test_a_matrix_is_on_all_devices_or_on_none(ranks):
    a = spread(ranks, whole((3, 3)))
    a = a.to_device() if ranks.rank == 0 else a
    if ranks.size > 1:
        with pytest.raises(DisagreementError, match="on devices"):
            cholesky(a)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_with_arrays(ranks, dtype):
    x = whole((9, 5), dtype)
    for layout in layouts(x.shape, ranks.size):
        a = spread(ranks, x, layout).to_device()
        for found, expected in (
            (a @ x[0], x @ x[0]),
            (x[:, 0] @ a, x[:, 0] @ x),
            ((a @ x.T).to_all(), x @ x.T),
        ):
            np.testing.assert_allclose(
                found, expected, rtol=1e-3 if dtype == "f4" else 1e-12
            )
            assert found.dtype == expected.dtype


def test_elementwise_operations_stay_on_the_devices(ranks):
    x, y = whole((9, 5)), whole((9, 5), seed=1)
    a, b = (
        spread(ranks, x).to_device(),
        spread(ranks, y, layouts((9, 5), ranks.size)[1]),
    )
    for found, expected in (
        (a + b.to_device(), x + y),
        (a * 2 - 1, x * 2 - 1),
        (a / (1 + y**2), x / (1 + y**2)),
        (np.exp(a), np.exp(x)),
        (a.astype("f4"), x.astype("f4")),
    ):
        close(on_host(found), expected)


def test_the_matrix_is_a_copy_of_the_other_memory(ranks):
    a = DistMatrix.random(ranks, (5, 4))
    device = a.to_device()
    assert device.to_device() is device
    assert a.to_host() is a
    assert (device.to_host().local == a.local).all()
    assert (device.to_all() == a.to_all()).all()
    assert (device.T.to_host().local == a.T.local).all()


def test_triangles_and_right_sides_in_different_memories_are_refused(ranks):
    x = np.tril(whole((70, 70))) + 9 * np.eye(70)
    a, b = spread(ranks, x), spread(ranks, whole((70, 3)))
    for one, other in ((a.to_device(), b), (a, b.to_device())):
        with pytest.raises(ValueError, match="one matrix is on devices"):
            solve_triangular(one, other)


def test_operators_in_place_and_of_rows_and_columns(ranks):
    x, row, column = whole((9, 7)), whole((1, 7), seed=1), whole((9, 1), seed=2)
    a = spread(ranks, x).to_device()
    a += a
    np.add(a, 1, out=a)
    close(on_host(a), 2 * x + 1)
    for part in (row, column):
        close(on_host(a - spread(ranks, part).to_device()), 2 * x + 1 - part)


@pytest.mark.parametrize("make", [DistMatrix.from_root, DistMatrix.from_all])
def test_whole_arrays_on_a_device_are_refused(cupy, ranks, make):
    with pytest.raises(TypeError, match="array is on a device; expected an array in"):
        make(ranks, cupy.asarray(whole((3, 2))))


def test_an_array_with_the_interface_of_devices_need_not_be_on_one():
    """As tensors in host memory have it, which raise when it is read."""

    class Tensor:
        @property
        def __cuda_array_interface__(self):
            raise AttributeError("in host memory")

        def __array__(self, dtype=None, copy=None):
            return np.arange(3.0)

    assert np.array_equal(operands.numbers(Tensor(), "x"), np.arange(3.0))


def test_lu_where_ranks_have_no_rows(ranks, monkeypatch):
    """They choose the way of messages with the others, and then send nothing."""
    monkeypatch.delenv("MPIAPPS_DEVICE_MESSAGES")
    monkeypatch.setattr("mpiapps.linalg.layout.process_grid", lambda size: (size, 1))
    x = whole((40, 40)) + 9 * np.eye(40)
    found = lu(spread(ranks, x).to_device(), 20)
    expected = lu(spread(ranks, x), 20)
    close(on_host(found.factors), expected.factors.to_all())
