"""The same expression of a matrix and of its array: same elements, dtypes, errors."""

import copy
import itertools
import warnings

import numpy as np
import pytest

from mpiapps.comm.consistency import DisagreementError
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.files import read, write
from mpiapps.linalg.layout import Layout
from tests.linalg.cases import DTYPES, layouts, whole

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.one_mpi,
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # as NumPy's, of NaN
]
SHAPES = [(7, 5), (1, 4), (6, 1), (1, 1)]
MANY = 20  # elements of matrices that every call is tested with in every layout
TURNS = itertools.count()  # the same on all ranks: calls are collective
EMPTY = [(0, 0), (0, 3), (4, 0)]


def integers(shape, dtype, seed=0):
    """Return small integers, whose sums are exact, in any dtype."""
    return np.round(3 * whole(shape, dtype, seed))


def whole_or_mask(shape, dtype):
    return integers(shape, "f8") > 0 if dtype == "?" else integers(shape, dtype)


@pytest.fixture(autouse=True)
def _first_turn(monkeypatch):
    monkeypatch.setattr(f"{__name__}.TURNS", itertools.count())


def distributed(comm, x):
    """Yield a matrix of an array in every layout, of few elements in one by turns."""
    every = [None, *layouts(x.shape, comm.size)]
    if x.size <= MANY:
        every = [every[next(TURNS) % len(every)]]
    for layout in every:
        a = DistMatrix.from_all(comm, x, layout)
        yield a.astype(bool) if x.dtype == bool else a


def assert_same(found, expected, exact=True):
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, exact)
        return
    dtype = getattr(expected, "dtype", None)
    assert getattr(found, "dtype", None) == dtype
    assert np.shape(found) == np.shape(expected)
    array = np.asarray(found)
    if exact or array.dtype.kind not in "fc":
        np.testing.assert_array_equal(array, expected)
    else:
        tolerance = 30 * np.finfo(expected.dtype).eps
        np.testing.assert_allclose(array, expected, rtol=tolerance, atol=tolerance)


def outcome(call, *arguments):
    """Return the result of a call, or its error."""
    try:
        return call(*arguments)
    except (TypeError, ValueError, IndexError) as error:
        return error


def compare(comm, call, x, *others, exact=True):
    """Assert that a call gives the same for matrices as for arrays."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = outcome(call, x.copy(), *(other.copy() for other in others))
        for a in distributed(comm, x):
            rest = [next(distributed(comm, other)) for other in others]
            found = outcome(call, a, *rest)
            if isinstance(expected, Exception):
                assert isinstance(found, type(expected)), (found, expected)
                continue
            if isinstance(found, Exception):
                raise found
            assert_same(found, expected, exact)


ELEMENTWISE = {
    "a > 0": lambda a, _b: a > 0,
    "array >= a": lambda a, _b: np.ones(a.shape[1]) >= a,
    "a == b": lambda a, b: a == b,
    "a != 1": lambda a, _b: a != 1,
    "array < a": lambda a, _b: np.zeros(a.shape) < a,
    "~(a < b)": lambda a, b: ~(a < b),
    "masks": lambda a, b: ((a > 0) & (b > 0)) | (a == b) ^ (b != 0),
    "isnan": lambda a, _b: np.isnan(a),
    "where": lambda a, b: np.where(a > b, a, b),
    "where number": lambda a, b: np.where(a > b, 0, b),
    "where array": lambda a, b: np.where(np.ones(a.shape[1]) > 0, a, b),
    "real": lambda a, _b: a.real,
    "imag": lambda a, _b: np.imag(a),
    "conj": lambda a, _b: a.conj(),
    "conjugate": lambda a, _b: np.conjugate(a),
    "absolute": lambda a, _b: np.abs(a),
    "abs": lambda a, _b: abs(a),
    "maximum": np.maximum,
    "minimum": lambda _a, b: np.minimum(1, b),
    "+a": lambda a, _b: +a,
    "-a": lambda a, _b: -a,
    "round": lambda a, _b: (a * 0.3).round(1),
    "dtype": lambda a, b: np.add(a, b, dtype="c16"),
    "row": lambda a, b: a + b[:1, :],
    "column": lambda a, b: b[:, -1:] - a,
    "element": lambda a, b: a * b[:1, :1],
    "mean by row": lambda a, _b: a - a.mean(axis=1, keepdims=True),
    "sum by column": lambda a, _b: a - a.sum(axis=0),
    "mask and number": lambda a, _b: (a > 0) * 2.5,
    "mask and matrix": lambda a, b: (a > 0) * b,
    "mask as numbers": lambda a, _b: (a > 0).astype("f4"),
    "nan_to_num": lambda a, _b: np.nan_to_num(a),
    "isclose": lambda a, b: np.isclose(a, b, atol=1),
    "angle": lambda a, _b: np.angle(a),
    "tril": lambda a, _b: np.tril(a),
    "tril k": lambda a, _b: np.tril(a, -1),
    "triu": lambda a, _b: np.triu(a, k=2),
    "zeros_like": lambda a, _b: np.zeros_like(a),
    "ones_like": lambda a, _b: np.ones_like(a, dtype="c8"),
    "full_like": lambda a, _b: np.full_like(a, 2),
    "flipud": lambda a, _b: np.flipud(a),
    "fliplr": lambda a, _b: np.fliplr(a),
    "take": lambda a, _b: np.take(a, [0, -1], axis=0),
    "transpose": lambda a, _b: a.transpose(),
}
REAL = {
    "floor_divide": lambda a, _b: a // 2,
    "remainder": lambda _a, b: 3 % (abs(b) + 1),
    "divmod": lambda a, _b: divmod(a, 2),
    "np.divmod": lambda a, _b: np.divmod(a, 2.5),
    "modf": lambda a, _b: np.modf(a / 4),
    "clip": lambda a, _b: a.clip(-1, 2),
    "np.clip": lambda a, b: np.clip(a, None, b),
    "clip by name": lambda a, _b: np.clip(a, min=0),
    "sign": lambda a, _b: np.sign(a),
    "hypot": lambda a, _b: np.hypot(a, 0),
}


CASES = [(name, dtype) for name in ELEMENTWISE for dtype in DTYPES]
CASES += [(name, dtype) for name in REAL for dtype in ("f4", "f8")]


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_elementwise(comm, name, dtype):
    call = (ELEMENTWISE | REAL)[name]
    for shape in [*SHAPES, *EMPTY[1:]] if dtype == "f8" else SHAPES[:1]:
        if name.startswith(("column", "take", "element", "row")) and 0 in shape:
            continue
        compare(comm, call, integers(shape, dtype), integers(shape, dtype, 1))


REDUCTIONS = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "any": np.any,
    "all": np.all, "argmax": np.argmax, "argmin": np.argmin, "ptp": np.ptp,
    "mean": np.mean, "std": np.std, "var": np.var, "count_nonzero": np.count_nonzero,
    "std ddof": lambda a, axis=None: np.std(a, axis, ddof=1),
    "sum in double precision": lambda a, axis=None: a.sum(axis, dtype="c16"),
    "add.reduce": lambda a, axis=0: np.add.reduce(a, axis),
    "maximum.reduce": lambda a, axis=0: np.maximum.reduce(a, axis=axis),
    "logical_or.reduce": lambda a, axis=0: np.logical_or.reduce(a, axis, keepdims=True),
}  # fmt: skip
INEXACT = {"prod", "mean", "std", "var", "std ddof"}


@pytest.mark.parametrize("dtype", ["?", *DTYPES])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(comm, name, dtype):
    function = REDUCTIONS[name]
    for shape in [*SHAPES, *EMPTY] if dtype in "?f8" else SHAPES[:1]:
        x = whole_or_mask(shape, dtype)
        for axis in (None, 0, -1) if name[:3] == "arg" else (None, 0, -1, (0, 1), (1,)):
            compare(
                comm, lambda a, axis=axis: function(a, axis=axis), x,
                exact=name not in INEXACT,
            )  # fmt: skip
        compare(comm, function, x, exact=name not in INEXACT)
        if name in np.__dict__ and name != "count_nonzero":
            for axis in (None, 0, 1):
                compare(
                    comm,
                    lambda a, axis=axis: function(a, axis=axis, keepdims=True),
                    x,
                    exact=name not in INEXACT,
                )


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_and_ties(comm, dtype):
    x = integers((6, 7), dtype)
    x[:, 3] = 9
    x[4] = 9
    for at in [(2, 5), (4, 4), (0, 0)]:
        for name in ("max", "min", "argmax", "argmin", "sum", "any", "ptp", "mean"):
            for axis in (None, 0, 1):
                compare(
                    comm,
                    lambda a, axis=axis, name=name: REDUCTIONS[name](a, axis=axis),
                    x,
                    exact=name != "mean",
                )
        x[at] = np.nan


def test_wrong_reductions(comm):
    x = whole((3, 4))
    for axis in (2, -3, (0, 0), 1.5, "x"):
        compare(comm, lambda a, axis=axis: np.sum(a, axis=axis), x)
        compare(comm, lambda a, axis=axis: a.max(axis), x)
    a = next(distributed(comm, x))
    for rank in range(comm.size):
        with pytest.raises((np.exceptions.AxisError, DisagreementError)):
            a.max(5 if comm.rank == rank else 0)
    if comm.size > 1:
        with pytest.raises(DisagreementError):
            a.sum(axis=comm.rank % 2)
        with pytest.raises(DisagreementError):
            np.std(a, ddof=comm.rank)


IN_PLACE = {
    "+=": lambda a, b: a.__iadd__(b),
    "-= number": lambda a, _b: a.__isub__(2),
    "*= array": lambda a, _b: a.__imul__(np.arange(a.shape[1])),
    "*= integer": lambda a, _b: a.__imul__(3),
    "/=": lambda a, _b: a.__itruediv__(4),
    "+= complex": lambda a, _b: a.__iadd__(1j),
    "+= complex matrix": lambda a, b: a.__iadd__(b * 1j),
    "+= double precision": lambda a, b: a.__iadd__(b.astype("c16").real * 0.1),
    "+= itself": lambda a, _b: a.__iadd__(a),
    "+= row": lambda a, _b: a.__iadd__(a[:1]),
    "out": lambda a, b: np.add(a, b, out=a),
    "out of another dtype": lambda a, _b: np.greater(a.real, 0, out=a),
    "mask into a mask": lambda a, b: np.greater(a.real, 0, out=b > 0),
    "number into a mask": lambda a, b: np.add(a, 1, out=b > 0),
    "where": lambda a, b: np.multiply(a, 7, out=a, where=b > 0),
    "where array": lambda a, _b: np.add(a, 7, out=a, where=np.eye(5, 6) > 0),
    "casting": lambda a, b: np.add(a, b * 1j, out=a, casting="unsafe"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(comm, name, dtype):
    x, y = integers((5, 6), dtype), integers((5, 6), dtype, 1)
    compare(comm, IN_PLACE[name], x, y)

    def unchanged_or_same(a, b):
        result = outcome(IN_PLACE[name], a, b)
        return a.copy(), np.float64(result is a)

    compare(comm, unchanged_or_same, x, y)


def test_in_place_operators_copy_nothing(comm):
    for matrix in distributed(comm, whole((5, 6))):
        a, local = matrix, matrix.local
        a += 1
        a *= a
        a[1:] -= 2
        assert a is matrix
        assert a.local is local


CONCATENATIONS = {
    "concatenate": lambda a, b: np.concatenate([a, b]),
    "axis 1": lambda a, b: np.concatenate((a, b, a), axis=1),
    "negative axis": lambda a, b: np.concatenate((a, b), -1),
    "vstack": lambda a, b: np.vstack([a, np.ones(a.shape[1]), b]),
    "hstack": lambda a, b: np.hstack([np.ones((a.shape[0], 1)), a, b]),
    "column_stack": lambda a, _b: np.column_stack([a, np.arange(a.shape[0])]),
    "block": lambda a, b: np.block([[a, b], [b, a * 1j], [a, np.ones(b.shape)]]),
    "block of a row": lambda a, b: np.block([a, b]),
    "dtypes": lambda a, b: np.vstack([a.astype("f4"), b.astype("f8")]),
    "masks": lambda a, b: np.vstack([a > 0, b > 0]),
    "heights": lambda a, _b: np.hstack([a, a[1:]]),
    "widths": lambda a, _b: np.vstack([a, a[:, 1:]]),
    "widths of blocks": lambda a, b: np.block([[a, b], [a]]),
    "axis 2": lambda a, b: np.concatenate([a, b], axis=2),
    "vector": lambda a, _b: np.concatenate([a, np.ones(a.shape[1])]),
    "diag": lambda a, _b: np.diag(a),
    "diag k": lambda a, _b: np.diag(a, 2),
    "diagonal": lambda a, _b: a.diagonal(-1),
    "diagonal far off": lambda a, _b: np.diagonal(a, offset=50),
    "rows": lambda a, _b: np.array(list(a)),
    "len": lambda a, _b: np.float64(len(a)),
    "in": lambda a, _b: np.float64(a[0, 0] in a) + (1e9 in a),
}


@pytest.mark.parametrize("name", CONCATENATIONS)
def test_concatenation_and_diagonals(comm, name):
    for shape in SHAPES:
        if min(shape) > 1 or not name.startswith(("heights", "widths")):
            x, y = whole(shape), whole(shape, seed=1)
            compare(comm, CONCATENATIONS[name], x, y)


def test_concatenation_keeps_elements_on_their_ranks(comm):
    layout = Layout.blocks((4 * comm.size, 3), (comm.size, 1))
    a = DistMatrix.random(comm, layout.shape, layout=layout)
    wide = np.hstack([a, np.ones((4 * comm.size, 1))])
    assert wide.layout == Layout.blocks((4 * comm.size, 4), (comm.size, 1))
    np.testing.assert_array_equal(wide.local[:, :3], a.local)


def test_one_element_is_a_number(comm):
    for value in (2.5, 0.0, 1j):
        a = next(distributed(comm, np.array([[value]])))
        assert a.item() == complex(a) == value
        assert bool(a) == bool(value)
    assert float(next(distributed(comm, np.ones((1, 1))))) == 1.0
    assert int(next(distributed(comm, np.full((1, 1), 2.7)))) == 2
    for x in (whole((2, 1)), whole((0, 1))):
        a = next(distributed(comm, x))
        for call in (bool, float, int, complex, lambda a: a.item()):
            with pytest.raises(ValueError, match="one element"):
                call(a)


def test_constructors(comm):
    for layout in [None, *layouts((4, 5), comm.size)]:
        for found, expected in [
            (DistMatrix.ones(comm, (4, 5), "f4", layout), np.ones((4, 5), "f4")),
            (DistMatrix.full(comm, (4, 5), 2.5, layout=layout), np.full((4, 5), 2.5)),
            (DistMatrix.full(comm, (4, 5), 2j, "c8"), np.full((4, 5), 2j, "c8")),
            (DistMatrix.zeros(comm, (4, 5), bool, layout), np.zeros((4, 5), bool)),
        ]:
            assert_same(found, expected)
    with pytest.raises(TypeError):
        DistMatrix.full(comm, (4, 5), 2j)


def test_copies(comm):
    for a in distributed(comm, whole((3, 4))):
        for made in (copy.copy(a), copy.deepcopy(a), copy.deepcopy([a])[0]):
            assert made.comm is a.comm
            made.local[...] = 7
        assert_same(a, whole((3, 4)))


def test_masks_count_assign_and_go_to_files(comm, tmp_path_factory):
    x = whole((5, 6))
    directory = comm.bcast(tmp_path_factory.mktemp("masks") if comm.rank == 0 else None)
    for a in distributed(comm, x):
        mask = a > 0.5
        assert mask.dtype == bool
        assert repr(mask).startswith("DistMatrix(bool, ")
        assert mask.sum() == (x > 0.5).sum()
        np.testing.assert_allclose(mask.mean(0), (x > 0.5).mean(0))
        b = a.copy()
        b[mask] = 0
        b[x < -1] = -1
        assert_same(b, np.where(x < -1, -1, np.where(x > 0.5, 0, x)))
        with pytest.raises(ValueError, match=r"np\.where\(mask, B, A\)"):
            b[mask] = np.ones(mask.sum())
        with pytest.raises(IndexError):
            b[mask[1:]] = 0
        np.testing.assert_allclose(mask @ np.ones(6), (x > 0.5).sum(axis=1))
        write(f"{directory}/mask.npy", mask)
        assert_same(read(comm, f"{directory}/mask.npy"), (x > 0.5).astype(float))
    if comm.rank == 0:
        np.testing.assert_array_equal(np.load(f"{directory}/mask.npy"), x > 0.5)
