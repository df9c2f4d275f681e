"""BLAS in place, on parts of arrays, against NumPy."""

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from mpiapps.base.errors import LaunchError
from mpiapps.kernels import blas
from mpiapps.kernels.blas import add_product, set_gram, solve_columns, solve_rows
from mpiapps.kernels.transpose import transposed

DTYPES = ["f4", "f8", "c8", "c16"]


def part(shape, dtype, seed=0):
    """Return a part of a larger array, with rows further apart than they are long."""
    rng = np.random.default_rng(seed)
    whole = rng.standard_normal((shape[0] + 2, shape[1] + 3))
    if np.dtype(dtype).kind == "c":
        whole = whole + 1j * rng.standard_normal(whole.shape)
    return whole.astype(dtype)[1:-1, 2:-1]


def tolerance(dtype):
    return 1e-3 if dtype in ("f4", "c8") else 1e-9


def turned(x, op):
    return {"N": x, "T": x.T, "H": x.conj().T}[op]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op_a", ["N", "T", "H"])
@pytest.mark.parametrize("op_b", ["N", "T", "H"])
@pytest.mark.parametrize(
    "shape",
    [(3, 4, 5), (1, 1, 1), (0, 2, 2), (2, 0, 2), (2, 2, 0), (7, 1, 3), (1, 6, 3)],
)
def test_products(dtype, op_a, op_b, shape):
    m, n, k = shape
    out = part((m, n), dtype)
    a = part((m, k) if op_a == "N" else (k, m), dtype, 1)
    b = part((k, n) if op_b == "N" else (n, k), dtype, 2)
    product, rtol = -2 * (turned(a, op_a) @ turned(b, op_b)), tolerance(dtype)
    expected = out + product
    frame = out.base.copy()
    add_product(out, a, b, -2, op_b, op_a=op_a)
    np.testing.assert_allclose(out, expected, rtol=rtol)
    out[...] = np.nan  # not read
    add_product(out, a, b, -2, op_b, op_a=op_a, overwrite=True)
    np.testing.assert_allclose(out, product, rtol=rtol)
    frame[1:-1, 2:-1] = out
    np.testing.assert_array_equal(out.base, frame)  # nothing beside it


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(3, 5), (9, 1), (0, 4), (4, 0), (5, 150), (70, 65)])
def test_gram_matrices_are_exactly_hermitian(dtype, shape):
    k, n = shape
    out, a = part((n, n), dtype), part((k, n), dtype, 1)
    out[...] = np.nan  # not read
    frame = out.base.copy()
    set_gram(out, a)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(out, a.conj().T @ a, rtol=0, atol=50 * max(k, 1) * eps)
    np.testing.assert_array_equal(out, out.conj().T)
    frame[1:-1, 2:-1] = out
    np.testing.assert_array_equal(out.base, frame)  # nothing beside it


def test_gram_matrices_have_the_nans_of_a_product():
    a = part((4, 100), "f8")
    a[2, 70] = np.nan
    out = np.empty((100, 100))
    set_gram(out, a)
    np.testing.assert_array_equal(np.isnan(out), np.isnan(a.T @ a))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [(0, 3), (3, 0), (1, 5), (65, 3), (20000, 2), (9, 70)]
)
def test_transposed_copies(dtype, shape):
    x = part(shape, dtype)
    np.testing.assert_array_equal(transposed(x), x.T)
    adjoint = transposed(x, conjugate=True)
    np.testing.assert_array_equal(adjoint, x.conj().T)
    assert adjoint.flags.c_contiguous


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("n", [0, 1, 5, 64, 65, 150])
def test_triangles(dtype, lower, unit, n):
    triangle = part((n, n), dtype)
    triangle /= max(1, n)  # of large sizes, triangles of ones are all but singular
    triangle += (4 * np.eye(n)).astype(dtype)
    half = np.tril(triangle) if lower else np.triu(triangle)
    if unit:
        np.fill_diagonal(half, 1)
    out = part((n, 3), dtype, 1)
    expected = np.linalg.solve(half, out)
    solve_rows(triangle, out, lower=lower, unit=unit)
    np.testing.assert_allclose(out, expected, rtol=2e-3)
    for op, turned in (("T", half.T), ("H", half.conj().T)):
        out = part((n, 3), dtype, 1)
        expected = np.linalg.solve(turned, out)
        solve_rows(triangle, out, lower=lower, unit=unit, op=op)
        np.testing.assert_allclose(out, expected, rtol=2e-3)
    if not unit:
        out = part((3, n), dtype, 2)
        expected = np.linalg.solve(half.conj(), out.T).T
        solve_columns(triangle, out, lower=lower)
        np.testing.assert_allclose(out, expected, rtol=2e-3)


def test_what_does_not_fit_is_refused():
    x = np.ones((3, 3))
    with pytest.raises(ValueError, match="gemm shapes do not match"):
        add_product(x, x, np.ones((2, 3)))
    with pytest.raises(ValueError, match="row-major"):
        add_product(x, x, np.ones((6, 6))[::2, ::2])
    with pytest.raises(TypeError, match="mixed"):
        add_product(x, x, np.ones((3, 3), "f4"))


FOREIGN = {
    "rows reversed": lambda x: x[::-1],
    "columns reversed": lambda x: x[:, ::-1],
    "one row for all": lambda x: np.broadcast_to(x[:1], x.shape),
    "one column for all": lambda x: np.broadcast_to(x[:, :1], x.shape),
    "overlapping": lambda x: as_strided(x, strides=(x.itemsize, x.itemsize)),
    "columns first": np.asfortranarray,
    "between elements": lambda x: as_strided(x, strides=(20, 8), shape=(3, 2)),
}


@pytest.mark.parametrize("view", FOREIGN.values(), ids=FOREIGN)
def test_strides_that_blas_cannot_follow_are_refused(view):
    x, eye = np.arange(9.0).reshape(3, 3), np.eye(3)
    bad = view(x)
    rows, cols = bad.shape
    for call in (
        lambda: add_product(np.zeros((rows, 3)), bad, eye[:cols].copy()),
        lambda: add_product(np.zeros((3, cols)), eye[:, :rows].copy(), bad),
        lambda: add_product(bad, eye[:rows].copy(), eye[:, :cols].copy()),
        lambda: solve_rows(bad, eye.copy(), lower=True),
        lambda: solve_rows(eye, bad, lower=True),
        lambda: solve_columns(eye, bad, lower=True),
    ):
        with pytest.raises(ValueError, match=r"strides|read-only|times"):
            call()


def test_one_row_or_column_of_a_reversed_array_is_plain():
    x = np.arange(9.0).reshape(3, 3)
    for a, b in [(x[::-1][:1], x), (x, x[:, ::-1][:, :1])]:
        out = np.zeros((len(a), b.shape[1]))
        add_product(out, a, b)
        np.testing.assert_array_equal(out, a @ b)


def test_sizes_that_blas_cannot_count_are_refused(monkeypatch):
    monkeypatch.setattr(blas, "INT_MAX", 2)
    with pytest.raises(ValueError, match="exceeds 2"):
        add_product(np.zeros((3, 3)), np.eye(3), np.eye(3))


def test_an_array_that_cannot_be_written_is_not_changed():
    out = np.zeros((3, 3))
    out.flags.writeable = False
    for call in (
        lambda: add_product(out, np.eye(3), np.eye(3)),
        lambda: solve_rows(np.eye(3), out, lower=True),
    ):
        with pytest.raises(ValueError, match="read-only"):
            call()


@pytest.mark.parametrize("name", ["libnot.so.0", "libc.so.6"])
def test_what_is_no_blas_is_told(monkeypatch, name):
    monkeypatch.setenv(blas.BLAS_VARIABLE, name)
    blas._routine.cache_clear()
    with pytest.raises(LaunchError, match=f"MPIAPPS_BLAS={name}: cannot load"):
        add_product(np.zeros((2, 2)), np.ones((2, 2)), np.ones((2, 2)))
    blas._routine.cache_clear()
