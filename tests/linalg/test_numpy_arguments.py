"""Arguments and kinds of operands of NumPy's functions: NumPy's result, or a remedy."""

import numpy as np
import pytest

from mpiapps.linalg.condition import condition
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.reductions import norm
from mpiapps.linalg.solve import factorise, solve
from tests.linalg.cases import layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

M, N = 6, 5
LARGE = 1.5e308 * (1 + 1j)  # of a magnitude that overflows
# Functions of a matrix, or of the same array.
AS_NUMPY = {
    "close to a number": lambda a: np.allclose(a * 0 + 2, 2.0),
    "close to a row": lambda a: np.allclose(a, a[0]),
    "close, no elements": lambda a: np.allclose(a[:0], 1.0),
    "equal NaN": lambda a: np.array_equal(a / 0, a / 0, equal_nan=True),
    "unequal shapes": lambda a: np.array_equal(a, a[:, 0]),
    "norm that overflows": lambda a: np.linalg.norm(a * 0 + 1e308),
    "norms of columns": lambda a: np.linalg.norm(a, axis=0),
    "norms of rows": lambda a: np.linalg.norm(a, axis=1, keepdims=True),
    "norm of axes": lambda a: np.linalg.norm(a, 1, axis=(1, 0)),
    "order of NumPy": lambda a: np.linalg.norm(a, np.int64(1)),
    "norm of a mask": lambda a: np.linalg.norm(a > 0),
    "norm, dimensions": lambda a: np.linalg.norm(a, keepdims=True),
    "take a mask": lambda a: np.take(a, [True, False, True], axis=0),
    "take nothing": lambda a: np.take(a, [], axis=1),
    "take a row": lambda a: np.take(a, 2, axis=-2),
    "full of a row": lambda a: np.full_like(a, np.arange(N)),
    "full of a list": lambda a: np.full_like(a, list(range(N))),
    "full of a column": lambda a: np.full_like(a, np.arange(M)[:, None]),
    "full of itself": lambda a: np.full_like(a, a, dtype="c16"),
    "sum as a condition": lambda a: np.sum(a, axis=0, dtype=bool),
    "product as a condition": lambda a: np.prod(a, dtype=bool, keepdims=True),
    "deviation of complex numbers": lambda a: np.std(a * (1 + 1j), dtype="c16"),
    "wide deviation": lambda a: np.var(a.astype("f4"), axis=0, dtype="f8"),
    "rounded in place": lambda a: np.round(a, 1, out=a),
    "rounded, method": lambda a: (a.copy()).round(1, out=a),
    "clipped in place": lambda a: np.clip(a, 0, 1, out=a),
    "clipped, out by position": lambda a: np.clip(a, 0, 1, a),
    "reciprocal of infinities": lambda a: (a * 0 + complex(np.inf, 1)) ** -1,
    "root of infinities": lambda a: (a * 0 + complex(np.inf, 1)) ** 0.5,
    "square of infinities": lambda a: (a * 0 + complex(np.inf, 1)) ** 2,
    "complex exponent": lambda a: (-a) ** (0.5 + 0j),
    "exponent of NumPy": lambda a: a.astype("f4") ** np.float64(2),
    "two results in place": lambda a: np.divmod(a, 2, out=(a.copy(), a.copy()))[1],
    "one of two in place": lambda a: np.modf(a, out=(None, a.copy()))[1],
    "clip": lambda a: np.clip(np.ones((M, N)), None, a),
    "clip, an array first": lambda a: np.clip(np.ones((M, N)), 0.0, a),
    "equal to nothing": lambda a: np.array_equal(a, None),
    "larger array of integers": lambda a: (
        a[:1].astype("f4") + np.arange(M * N, dtype="i1").reshape(M, N)
    ).astype("f8"),
    "larger array": lambda a: a[:1] + np.arange(M * N).reshape(M, N),
    "larger array first": lambda a: np.ones((M, N), bool) * a[:, :1],
    "column and vector": lambda a: np.maximum(a[:, :1], np.arange(4)),
    "axes": lambda a: np.transpose(a, (1, 0)),
    "axes that stay": lambda a: a.transpose(0, -1),
    "axes of the method": lambda a: a.transpose(1, 0),
    "offset of a trace": lambda a: np.trace(a, 1),
    "fraction of ddof": lambda a: np.std(a, axis=0, ddof=0.5),
    "one block": np.block,
    "product with a number": lambda a: np.dot(a, 2.0),
    "product with booleans": lambda a: (
        np.eye(M, dtype=bool) @ a @ np.eye(N, 2, 0, bool)
    ),
    "booleans of lstsq": lambda a: np.linalg.lstsq(a, np.arange(M) > 2)[0],
}


@pytest.mark.parametrize("call", AS_NUMPY.values(), ids=AS_NUMPY)
def test_arguments_are_those_of_numpy(comm, call):
    x = whole((M, N))
    with np.errstate(all="ignore"):
        expected = call(x)
        for layout in layouts((M, N), comm.size):
            found = call(spread(comm, x, layout))
            found = found.to_all() if isinstance(found, DistMatrix) else found
            assert np.shape(found) == np.shape(expected)
            assert np.result_type(found) == np.result_type(expected)
            np.testing.assert_allclose(found, expected, rtol=1e-12)


REFUSED = {
    "take of all": (lambda a: np.take(a, [1]), "axis=0 or axis=1"),
    "take of fractions": (lambda a: np.take(a, [1.5], axis=0), "Cannot cast"),
    "full of complex": (lambda a: np.full_like(a, 1j), "give dtype=complex"),
    "full of another shape": (lambda a: np.full_like(a, np.ones(4)), "broadcast"),
    "repeated axes": (lambda a: np.transpose(a, (0, 0)), "repeated|expected"),
    "2-norm of both axes": (lambda a: np.linalg.norm(a, 2, axis=(0, 1)), "2-norm"),
    "one axis": (lambda a: np.transpose(a, 1), r"expected \(1, 0\)"),
    "objects": (lambda a: a[:1] + np.full((M, N), None), "dtype object"),
    "unknown option": (lambda a: np.zeros_like(a, shape=(2, 2)), "shape"),
    "array first": (lambda a: np.linalg.solve(np.eye(M), a), "first operand"),
    "array first, lstsq": (lambda a: np.linalg.lstsq(np.eye(M), a), "first operand"),
    "deep blocks": (lambda a: np.block([[[a]]]), "nested"),
    "flat": (lambda a: np.concatenate([a], axis=None), "flatten"),
    "text of ddof": (lambda a: np.std(a, ddof="1"), "ddof"),
    "list of norms": (lambda a: np.linalg.norm(a, [1]), "None, 'fro'"),
    "condition of a mask": (lambda a: condition(a[:N] > 0), "dtype bool"),
    "lstsq of a mask": (lambda a: np.linalg.lstsq(a > 0, np.ones(M)), "dtype bool"),
    "other factors": (
        lambda a: solve(a[:N], np.ones(N), factors=factorise(a[:3, :3])),
        "3 x 3",
    ),
}


@pytest.mark.parametrize(("call", "text"), REFUSED.values(), ids=REFUSED)
def test_other_arguments_are_refused_with_a_remedy(comm, call, text):
    with pytest.raises((TypeError, ValueError), match=text):
        call(spread(comm, whole((M, N))))


def test_the_supported_arguments_are_noted(comm):
    with pytest.raises(TypeError) as caught:
        np.zeros_like(DistMatrix.eye(comm, 3), shape=(2, 2))
    assert "np.zeros_like of distributed matrices has (a, dtype" in str(
        caught.value.__notes__
    )


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
def test_norms_have_the_dtype_of_numpy(comm, dtype):
    x = whole((M, N), dtype)
    for kind in (None, 1, np.inf):
        found, expected = np.linalg.norm(spread(comm, x), kind), np.linalg.norm(x, kind)
        assert type(found) is type(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_nan_beside_an_infinity_is_not_lost(comm):
    x = np.array([[complex(np.inf, np.nan), 1], [2, 3]])
    for layout in layouts((2, 2), comm.size):
        assert np.isnan(norm(spread(comm, x, layout)))


def test_condition_of_single_precision_with_small_pivots(comm):
    a = spread(comm, np.diag([1e-5, 1e-39]).astype("f4"))
    assert condition(a) == pytest.approx(1e34, rel=1e-3)


@pytest.mark.parametrize(("dtype", "factor"), [("c16", LARGE), ("c8", 2e38 + 3e38j)])
def test_condition_of_elements_whose_magnitude_overflows(comm, dtype, factor):
    x = np.diag(np.full(3, factor, dtype))
    assert condition(spread(comm, x)) == pytest.approx(1, rel=1e-5)


def test_arrays_of_masks_stay_masks(comm):
    x = whole((M, N)) > 0
    for a in (DistMatrix.from_all(comm, x), DistMatrix.from_root(comm, x)):
        assert a.dtype == bool
        np.testing.assert_array_equal(a.to_all(), x)
    b = spread(comm, whole((M, N)))
    b[a] = 0
    assert not (b > 0).any()


@pytest.mark.parametrize(
    "function", [np.mean, np.std, np.var], ids=lambda f: f.__name__
)
def test_means_are_no_conditions(comm, function):
    with pytest.raises(TypeError, match="dtype=bool: expected a dtype of numbers"):
        function(spread(comm, whole((M, N))), dtype=bool)


def test_deviations_keep_the_precision_of_the_elements(comm):
    x = whole((M, N)) + 1e6
    found = np.std(spread(comm, x), dtype="f4")
    assert found.dtype == np.float32
    assert found == pytest.approx(np.std(x), rel=1e-6)


@pytest.mark.parametrize("call", [
    lambda a, out: np.clip(a, 0, 1, out=out), lambda a, out: np.round(a, out=out),
    lambda a, out: np.exp(a, out=out), lambda a, out: np.modf(a, out=(a, out)),
])  # fmt: skip
def test_an_array_takes_no_result(comm, call):
    a = spread(comm, whole((M, N)))
    with pytest.raises(TypeError, match="out of type ndarray: expected a DistMatrix"):
        call(a, np.empty((M, N)))
    np.testing.assert_array_equal(a.to_all(), whole((M, N)))
