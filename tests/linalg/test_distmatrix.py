import numpy as np
import pytest

from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from tests.linalg.cases import DTYPES, close, layouts, spread, whole

pytestmark = pytest.mark.mpi

SHAPES = [(0, 0), (0, 3), (1, 1), (1, 7), (7, 1), (4, 4), (13, 10)]


@pytest.mark.parametrize("shape", SHAPES)
def test_from_root_and_back_in_any_layout(comm, shape):
    array = whole(shape)
    for layout in layouts(shape, comm.size):
        for root in {0, comm.size - 1}:
            given = array if comm.rank == root else None
            made = DistMatrix.from_root(comm, given, layout, root)
            close(made, array, 0)
            found = made.to_root(root)
            assert (found is None) == (comm.rank != root)
            if found is not None:
                np.testing.assert_array_equal(found, array)
        np.testing.assert_array_equal(np.asarray(made), array)


@pytest.mark.parametrize("shape", SHAPES)
def test_redistribution_between_any_layouts(comm, shape):
    array = whole(shape, "c16")
    for old in layouts(shape, comm.size):
        made = spread(comm, array, old)
        for new in layouts(shape, comm.size):
            close(made.redistribute(new), array, 0)
        close(made.T, array.T, 0)
        close(made.H, array.conj().T, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_elements_do_not_depend_on_the_grid(comm, dtype):
    shape = (9, 11)
    alone = DistMatrix.random(comm, shape, 7, dtype, layouts(shape, 1)[0])
    array = comm.bcast(alone.local)
    assert array.dtype == dtype
    assert len(np.unique(array)) == array.size
    assert np.abs(array.real).max() < 1
    for layout in layouts(shape, comm.size):
        close(DistMatrix.random(comm, shape, 7, dtype, layout), array, 0)


def test_from_function(comm):
    i, j = np.ogrid[:6, :5]
    for layout in layouts((6, 5), comm.size):
        made = DistMatrix.from_function(
            comm, (6, 5), lambda i, j: 10 * i + j, "f4", layout
        )
        close(made, (10 * i + j).astype("f4"), 0)
    close(DistMatrix.eye(comm, 5), np.eye(5), 0)


def test_elementwise_operators_and_functions(comm):
    x, y = whole((8, 9)), whole((8, 9), seed=1)
    for other in layouts((8, 9), comm.size):
        a, b = spread(comm, x), spread(comm, y, other)
        close(a + b, x + y, 0)
        close(a - b, x - y, 0)
        close(2 * a, 2 * x, 0)
        close(-a, -x, 0)
        close(a.map(np.hypot, b), np.hypot(x, y))
    assert (spread(comm, x.astype("f4")) * 2.5).dtype == np.float32
    assert (spread(comm, x) * 1j).dtype == np.complex128


def test_the_local_block_may_be_changed_in_place(comm):
    made = DistMatrix.zeros(comm, (5, 5))
    made.local += comm.rank
    assert np.asarray(made).sum() == comm.allreduce(comm.rank * made.local.size)


def test_mismatched_arguments_are_refused_on_all_ranks(comm):
    a, b = DistMatrix.zeros(comm, (3, 4)), DistMatrix.zeros(comm, (4, 3))
    with pytest.raises(ValueError, match=r"\(3, 4\) and \(4, 3\) differ"):
        a + b
    with pytest.raises(ValueError, match="must keep the shape"):
        b.map(lambda local: local[:0] if local.size else local[:, None])
    with pytest.raises(TypeError, match="int64: expected float32"):
        DistMatrix.zeros(comm, (2, 2), int)
    with pytest.raises(ValueError, match="1 dimensions; expected 2"):
        DistMatrix.from_root(comm, np.zeros(3))
    layout = Layout.blocks((4, 4), (comm.size, 1))
    local = np.zeros(layout.local_shape(comm.rank))
    with pytest.raises(ValueError, match="the layout requires"):
        DistMatrix(comm, layout, local if comm.rank else np.zeros((9, 9)))
    with pytest.raises(ValueError, match=f"needs rank {comm.size}"):
        DistMatrix.zeros(comm, (3, 3), float, Layout.blocks((3, 3), (1, comm.size + 1)))


def test_redistribution_of_large_blocks(comm):
    x = whole((130, 90))
    cyclic = Layout.cyclic(x.shape, comm.size, 20)
    rows = Layout.blocks(x.shape, (comm.size, 1))
    moved = spread(comm, x, rows).redistribute(cyclic)
    close(moved, x)
    close(moved.redistribute(rows), x)
    close(moved.redistribute(Layout.cyclic(x.shape, comm.size, 33)), x)
