"""Operators and functions of NumPy: as on arrays, or refused; none gathers unasked."""

import operator
import pickle

import numpy as np
import pytest

from mpiapps.comm.consistency import DisagreementError
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.numpy_api import FUNCTIONS
from mpiapps.linalg.solve import solve
from mpiapps.linalg.trsm import solve_triangular
from tests.linalg.cases import close, layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

M, N = 6, 5
OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
OPERANDS = {
    "number": 2.5,
    "complex number": 1 + 2j,
    "element": np.float64(3),
    "row": 1 + np.arange(N),
    "rows of one": np.ones((1, N)) / 3,
    "column": 1.0 + np.arange(M)[:, None],
    "array": 2 + whole((M, N), seed=3) ** 2,
    "one number": np.array([[2.0]]),
    "no dimension": np.array(2.0),
    "by columns": np.asfortranarray(2 + whole((M, N), seed=3) ** 2),
}


@pytest.mark.parametrize("operation", OPERATORS)
@pytest.mark.parametrize("other", OPERANDS.values(), ids=OPERANDS)
def test_operators_with_numbers_and_arrays_in_either_order(comm, operation, other):
    x = 1 + whole((M, N)) ** 2
    for layout in layouts((M, N), comm.size):
        a = spread(comm, x, layout)
        for found, expected in [
            (operation(a, other), operation(x, other)),
            (operation(other, a), operation(other, x)),
        ]:
            assert isinstance(found, DistMatrix)
            assert found.layout == layout
            close(found, expected)


@pytest.mark.parametrize("operation", OPERATORS)
def test_operators_between_matrices_and_functions_of_numpy(comm, operation):
    x, y = 1 + whole((M, N)) ** 2, whole((M, N), seed=1)
    for layout in layouts((M, N), comm.size):
        a, b = spread(comm, x), spread(comm, y, layout)
        close(operation(a, b), operation(x, y))
    close(np.hypot(a, b), np.hypot(x, y))
    close(np.exp(a), np.exp(x))
    close(np.maximum(a, 0.5), np.maximum(x, 0.5), 0)
    close(-a, -x, 0)
    close(abs(b), abs(y), 0)
    a += b
    close(a, x + y, 0)


def test_products_with_arrays(comm):
    x = whole((M, N))
    right, left = whole((N, 3), seed=1), whole((2, M), seed=2)
    for layout in layouts((M, N), comm.size):
        a = spread(comm, x, layout)
        for form in (np.matmul, np.dot, operator.matmul):
            close(form(a, right), x @ right)
            close(form(left, a), left @ x)
            for found, expected in [
                (form(a, right[:, 0]), x @ right[:, 0]),
                (form(left[0], a), left[0] @ x),
            ]:
                assert type(found) is np.ndarray
                np.testing.assert_allclose(found, expected)
        c = spread(comm, x.astype("c16") * 1j, layout)
        np.testing.assert_allclose(left[0] @ c, left[0] @ (x * 1j))  # not conjugated


@pytest.mark.parametrize("dtype", ["f8", "c8"])
def test_systems_with_arrays(comm, dtype):
    x = (whole((N, N), dtype) + 4 * np.eye(N)).astype(dtype)
    b = whole((N, 2), dtype, seed=1)
    a, lower = spread(comm, x), np.tril(x)
    for call, expected in [
        (solve, np.linalg.solve(x, b)),
        (np.linalg.solve, np.linalg.solve(x, b)),
        (solve_triangular, np.linalg.solve(lower, b)),
    ]:
        close(call(a, b), expected)
        vector = call(a, b[:, 0])
        assert type(vector) is np.ndarray
        np.testing.assert_allclose(vector, expected[:, 0], rtol=1e-4)
        for bad in (b[:-1], b[0, :1], np.ma.masked_less(b[:, 0].real, 0), "x", None):
            with pytest.raises((TypeError, ValueError)):
                call(a, bad)
        if comm.size > 1:
            with pytest.raises(DisagreementError):
                call(a, b + comm.rank)


def test_single_precision_stays_single(comm):
    x = whole((M, N), "f4")
    a = spread(comm, x)
    for other in (2, 2.5, np.float32(2), np.ones(N, "f4")):
        assert (a * other).dtype == (x * other).dtype == np.float32
    for other in (np.float64(2), np.ones(N)):
        assert (other + a).dtype == (other + x).dtype == np.float64


def test_supported_functions_are_those_of_numpy(comm):
    x = whole((N, N)) + 4 * np.eye(N)
    a = spread(comm, x)
    s = x @ x.T
    for found, expected in [
        (np.mean(a), np.mean(x)),
        (np.mean(a, axis=0), np.mean(x, axis=0)),
        (np.std(a, axis=1, ddof=1), np.std(x, axis=1, ddof=1)),
        (np.sum(a), np.sum(x)),
        (np.sum(a, axis=-1), np.sum(x, axis=-1)),
        (np.sum(a, 0), np.sum(x, 0)),
        (np.trace(a), np.trace(x)),
        (np.linalg.norm(a), np.linalg.norm(x)),
        (np.linalg.norm(a, 1), np.linalg.norm(x, 1)),
        (np.linalg.norm(a, np.inf), np.linalg.norm(x, np.inf)),
        (np.shape(a), np.shape(x)),
        (np.ndim(a), np.ndim(x)),
        (np.size(a), np.size(x)),
    ]:
        np.testing.assert_allclose(found, expected)
    close(np.transpose(a), x.T, 0)
    close(np.copy(a), x, 0)
    close(np.linalg.inv(a), np.linalg.inv(x))
    close(np.linalg.cholesky(spread(comm, s)), np.linalg.cholesky(s))
    close(np.linalg.solve(a, a), np.eye(N))


def test_comparisons_cover_the_whole_matrix(comm):
    x = whole((M, N))
    for layout in layouts((M, N), comm.size):
        a, b = spread(comm, x), spread(comm, x, layout)
        for other in (b, x, a):
            assert np.array_equal(a, other)
            assert np.array_equal(other, a)
            assert np.allclose(a, other)
        b.local[:1, :1] += 1e-12
        assert not np.array_equal(a, b)
        assert np.allclose(a, b)
        assert not np.allclose(a, b, rtol=0, atol=0)
        assert not np.array_equal(a, spread(comm, x.T))
    assert a in {a}


REFUSED = {
    "eigvals": np.linalg.eigvals,
    "det": np.linalg.det,
    "where with one argument": lambda a: np.where(a > 0),
    "sort": np.sort,
    "sort, method": lambda a: a.sort(),
    "einsum": lambda a: np.einsum("ij->i", a),
    "outer": lambda a: np.outer(a, a),
    "cumulative sum": lambda a: a.cumsum(0),
    "outer of a function": lambda a: np.multiply.outer(a, 2),
    "accumulate": np.add.accumulate,
    "reduce of a function that is not associative": np.subtract.reduce,
    "into an array": lambda a: np.add(a, 1, out=np.zeros(a.shape)),
    "in place": lambda a: operator.iadd(np.zeros(a.shape), a),
    "where without out": lambda a: np.add(a, 1, where=a > 0),
    "order of a function": lambda a: np.add(a, 1, order="F"),
    "integers as second result": np.frexp,
    "2-norm": lambda a: np.linalg.norm(a, 2),
    "sum into an array": lambda a: np.sum(a, 0, out=np.zeros(N)),
    "sum where": lambda a: np.sum(a, where=a > 0),
    "first value of a sum": lambda a: np.sum(a, initial=3),
    "reshape": lambda a: a.reshape(-1),
    "reshape, function": lambda a: np.reshape(a, (-1, 1)),
    "ravel": lambda a: a.ravel(),
    "flatten": lambda a: a.flatten(),
    "elements of a mask": lambda a: a[a > 0],
    "integers": lambda a: (a > 0) * 2,
    "astype integers": lambda a: a.astype(int),
    "product of masks": lambda a: (a > 0) @ (a > 0),
    "product with a mask": lambda a: a @ (a > 0),
    "factor of a mask": lambda a: np.linalg.cholesky(a > 0),
    "inverse of a mask": lambda a: np.linalg.inv(a > 0),
    "random mask": lambda a: DistMatrix.random(a.comm, a.shape, dtype=bool),
    "negative mask": lambda a: -(a > 0),
    "None": lambda a: a == None,  # noqa: E711 - the operator is tested
    "text": lambda a: a == "x",
    "truth": bool,
    "float of many": float,
    "pickle": pickle.dumps,
    "pickle of a list": lambda a: pickle.dumps([a]),
    "other shapes": lambda a: a + a[1:],
    "column and row": lambda a: a[:1] + a[:, :1],
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_unsupported_functions_are_refused_and_gather_nothing(comm, call, monkeypatch):
    a = spread(comm, whole((N, N)))
    monkeypatch.setattr(DistMatrix, "to_all", lambda _: pytest.fail("it gathers"))
    with pytest.raises((TypeError, ValueError, IndexError)):
        call(a)


def test_the_error_names_the_function_and_the_remedy(comm):
    a = DistMatrix.eye(comm, 3)
    for call, text in [
        (lambda: np.sort(a), r"np.sort .*A.to_all\(\).*np.linalg.inv"),
        (lambda: np.subtract.reduce(a), r"np.subtract.reduce "),
        (lambda: np.add(a, a, out=np.zeros((3, 3))), r"np.add with out .*DistMatrix"),
        (lambda: pickle.dumps(a), r"A.to_root\(\)"),
        (lambda: a[a > 0], r"np.where\(mask, A, B\)"),
        (lambda: (a > 0) @ a, r"A.astype\(float\)"),
    ]:
        with pytest.raises((TypeError, IndexError), match=text):
            call()


def test_the_documentation_lists_the_supported_functions():
    from tests.commands import ROOT

    page = (ROOT / "docs" / "matrix.md").read_text()
    for function in FUNCTIONS:
        name = f"{function.__module__}.{function.__name__}".replace("numpy", "np")
        assert f"`{name}`" in page, name


def test_asarray_gives_the_whole_matrix_on_every_rank(comm):
    x = whole((M, N))
    a = spread(comm, x)
    np.testing.assert_array_equal(np.asarray(a), x)
    np.testing.assert_array_equal(np.array(a, "f4"), x.astype("f4"))
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(a, copy=False)
