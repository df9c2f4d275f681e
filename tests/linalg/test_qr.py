"""QR by each of its algorithms, on any number of ranks."""

import numpy as np
import pytest

from mpiapps.linalg import tsqr
from mpiapps.linalg.householder_qr import column_layout, householder_qr
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.qr_choice import PANELS, TSQR, WHOLE, choose_qr, qr_block
from mpiapps.linalg.tsqr import qr
from tests.linalg.cases import DTYPES, layouts, spread, whole

SHAPES = [(1, 1), (5, 5), (30, 4), (4, 4), (6, 0), (37, 36), (70, 33)]
# Every shape in one dtype, and the other dtypes.
KINDS = [*((shape, "f8") for shape in SHAPES), *(((37, 21), x) for x in DTYPES)]


@pytest.fixture(params=[TSQR, WHOLE, PANELS])
def algorithm(request, monkeypatch):
    monkeypatch.setattr(tsqr, "choose_qr", lambda *_: request.param)


def check(comm, x, layout=None):
    """Assert what defines Q and R; return R."""
    q, r = qr(spread(comm, x, layout))
    eps, (m, n) = float(np.finfo(x.dtype).eps), x.shape
    q = np.asarray(q)
    assert (q.shape, r.shape, q.dtype, r.dtype) == ((m, n), (n, n), x.dtype, x.dtype)
    # Column by column, as for Householder reflections in LAPACK's tests.
    errors = np.linalg.norm(q @ r - x, axis=0)
    assert (errors <= 20 * m * eps * np.linalg.norm(x, axis=0)).all()
    eye = np.eye(n, dtype=x.dtype)
    assert np.abs(q.conj().T @ q - eye).max(initial=0) <= 20 * m * eps
    assert len(set(comm.allgather(r.tobytes()))) == 1
    assert not np.tril(r, -1).any()
    assert (np.diagonal(r).real >= 0).all()
    return r


@pytest.mark.mpi
@pytest.mark.parametrize(("shape", "dtype"), KINDS)
@pytest.mark.usefixtures("algorithm")
def test_any_shape_and_layout(comm, shape, dtype):
    x = whole(shape, dtype)
    for layout in layouts(shape, comm.size):
        r = check(comm, x, layout)
    if 0 not in shape:  # of full rank, so that R is unique
        expected = np.linalg.qr(x)[1]
        expected *= np.sign(np.diagonal(expected).real)[:, None]
        scale = 50 * shape[0] * np.finfo(x.dtype).eps * np.abs(expected).max()
        np.testing.assert_allclose(r, expected, rtol=0, atol=scale)


@pytest.mark.mpi
@pytest.mark.parametrize("dtype", ["f8", "c8"])
@pytest.mark.usefixtures("algorithm")
def test_bad_scaling_and_deficient_ranks(comm, dtype):
    x = whole((40, 34), dtype)
    for sign in (1, -1):
        check(comm, (x * 2.0 ** (sign * np.arange(34))).astype(dtype))
        check(comm, (x.T * 2.0 ** (sign * np.arange(40))).T.astype(dtype))
    x[:, 3:20] = x[:, :1]
    check(comm, x)
    check(comm, np.zeros_like(x))
    check(comm, np.eye(40, 34, dtype=dtype))


@pytest.mark.mpi
@pytest.mark.parametrize("block", [1, 2, 7, 40])
def test_any_width_of_panels(comm, block):
    x = whole((23, 19), "c16")
    q, r = householder_qr(spread(comm, x), block)
    np.testing.assert_allclose(np.asarray(q) @ r, x, atol=1e-13)


@pytest.mark.mpi
@pytest.mark.usefixtures("algorithm")
def test_the_matrix_is_not_changed(comm):
    x = whole((9, 7))
    columns = column_layout(x.shape, comm.size, qr_block(7, comm.size))
    for layout in (
        *layouts(x.shape, comm.size),
        columns,
        Layout.blocks((9, 7), (1, 1)),
    ):
        a = spread(comm, x, layout)
        a.local.flags.writeable = False
        q, _ = qr(a)
        assert q.local.base is None or q.local.base.size == q.local.size
        np.testing.assert_array_equal(np.asarray(a), x)


def test_the_choice_of_the_algorithm():
    assert choose_qr(4096, 4096, 1, np.dtype(float)) == PANELS
    assert choose_qr(100, 100, 2, np.dtype(float)) == WHOLE
    assert choose_qr(10**6, 64, 2, np.dtype(float)) == TSQR
    assert choose_qr(10**8, 64, 1024, np.dtype(float)) == TSQR
    for size in (2, 4, 16):
        assert choose_qr(4096, 4096, size, np.dtype(float)) == PANELS
        assert qr_block(1, size) == 1


@pytest.mark.mpi
def test_whole_copies_of_matrices_in_blocks(comm):
    x = whole((64, 97))
    for block in (16, 20, 33):
        for layout in (
            Layout.cyclic(x.shape, comm.size, block),
            column_layout(x.shape, comm.size, block),
        ):
            np.testing.assert_array_equal(spread(comm, x, layout).to_all(), x)
