"""Which results have the same bits on any number of ranks: docs/matrix.md's table."""

import numpy as np
import pytest

from mpiapps.comm.random import Stream
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matvec import matvec
from mpiapps.linalg.moments import mean, std, var
from mpiapps.linalg.multiply import gram
from mpiapps.linalg.reductions import (
    col_sums,
    diagonal,
    norm,
    row_sums,
    total,
    trace,
)
from tests.linalg.cases import DTYPES, layouts, spread, whole

pytestmark = pytest.mark.mpi

SHAPES = [(37, 9001), (13, 40), (3, 1)]  # also longer than NumPy's buffers


STORED = [
    "-0x1.32a1b9783beebp+16",
    "0x1.dbdf3db10118bp+17",
    "0x1.dea01a1c0016cp+18",
    "0x1.2156b623b3585p+17",
    "0x1.1604762c7cc5bp+12",
    "0x1.2dedb0bc86ee4p+24",
]  # of `test_stored_bits_of_sums_and_norms`


def bits(value):
    return np.asarray(value).tobytes()


def wide(shape, dtype):
    """Return numbers of very different sizes, whose sums depend on the order."""
    x = whole(shape, dtype)
    return (x * 10.0 ** (np.arange(shape[1]) % 5)).astype(dtype)


REDUCTIONS = [
    *(total, row_sums, col_sums, mean, std, var),
    *(lambda a: mean(a, 0), lambda a: mean(a, 1)),
    *(lambda a: std(a, 0), lambda a: var(a, 1, 1)),
    *(norm, lambda a: norm(a, "1"), lambda a: norm(a, "inf")),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_moments_and_norms_have_the_same_bits_in_any_layout(comm, shape, dtype):
    x = wide(shape, dtype)
    alone = spread(comm, x, Layout.on_one(shape, 0))
    expected = [bits(function(alone)) for function in REDUCTIONS]
    for layout in layouts(shape, comm.size):
        a = spread(comm, x, layout)
        for function, wanted in zip(REDUCTIONS, expected, strict=True):
            assert bits(function(a)) == wanted


def test_stored_bits_of_sums_and_norms(comm):
    # On any number of ranks, since the matrix does not depend on it.
    x = wide((50, 60), "f8")
    for layout in layouts(x.shape, comm.size):
        a = spread(comm, x, layout)
        values = (total(a), norm(a), norm(a, "1"), norm(a, "inf"), std(a), var(a))
        assert [float(value).hex() for value in values] == STORED


@pytest.mark.parametrize("function", [row_sums, col_sums, total])
@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1e308, 1e308, -1e308, 1.0], 1e308),
        ([1e308, 1e308, 1.0, 1.0], np.inf),
        ([np.inf, 1.0, 1e308, 2.0], np.inf),
        ([-np.inf, 1.0, 1e308, 2.0], -np.inf),
        ([np.inf, 1.0, -np.inf, 2.0], np.nan),
        ([np.nan, np.inf, 1.0, 2.0], np.nan),
        ([-0.0, -0.0, -0.0, -0.0], 0.0),
        ([5e-324, 5e-324, -1e-310, 5e-324], 15e-324 - 1e-310),
        ([1.0, 1e-60, -1.0, 1e300], 1e300),
        ([1e16, 1.0, -1e16, 1.0], 2.0),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_extreme_numbers_in_any_layout(comm, function, numbers, expected):
    x = np.array([numbers])
    x = x if function is row_sums else x.T.copy()
    for layout in layouts(x.shape, comm.size):
        found = np.ravel(function(spread(comm, x, layout)))
        np.testing.assert_array_equal(found, [expected])
        assert not np.signbit(found[found == 0]).any()


@pytest.mark.parametrize("scale", [1e-200, 1e200, 2.0**-1030])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
def test_the_frobenius_norm_neither_overflows_nor_underflows(comm, scale, dtype):
    x = whole((13, 40), dtype) * scale
    wanted = {norm(spread(comm, x, layout)) for layout in layouts(x.shape, comm.size)}
    assert len(wanted) == 1
    power = 2.0**-600 if scale > 1 else 2.0**600
    exact = np.linalg.norm(x * power) / power
    np.testing.assert_allclose(wanted.pop(), exact, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40, 40), (7, 90), (90, 7), (0, 3)])
def test_results_with_the_same_bits_in_any_layout(comm, shape, dtype):
    x = wide(shape, dtype)
    for layout in layouts(shape, comm.size):
        a = spread(comm, x, layout)
        assert bits(trace(a)) == bits(x.diagonal().sum())
        assert bits(diagonal(a)) == bits(x.diagonal())
        assert bits(norm(a, "max")) == bits(float(np.abs(x).max(initial=0)))
        assert bits((a * 3 - 1 / (a + 7)).to_all()) == bits(x * 3 - 1 / (x + 7))


def test_repeated_calls_have_the_same_bits(comm):
    x = wide((60, 70), "f8")
    for layout in layouts(x.shape, comm.size):
        a = spread(comm, x, layout)
        for function in (
            total,
            mean,
            std,
            norm,
            row_sums,
            col_sums,
            gram,
            lambda a: matvec(a, np.ones(70)),
        ):
            first, second = (function(a) for _ in range(2))
            assert bits(getattr(first, "local", first)) == bits(
                getattr(second, "local", second)
            )


def test_single_precision_random_numbers_stay_below_one(comm):
    # Its draw rounds to 1.
    shape, row, column = (3, 152209), 2, 152208
    assert np.float32(2 * Stream(2).uniform(column, 1, row)[0] - 1) == 1
    layout = Layout.blocks(shape, (1, comm.size))
    made = DistMatrix.random(comm, shape, 2, "f4", layout)
    assert comm.allreduce(float(made.local.max())) < comm.size
    assert made.local.min() >= -1
    last = np.flatnonzero(made.col_indices == column)
    assert (made.local[row, last] == np.nextafter(np.float32(1), np.float32(0))).all()


def test_to_all_checks_the_memory_of_each_host(comm, monkeypatch):

    from mpiapps.linalg import gathering

    a = DistMatrix.eye(comm, 10)  # 800 bytes
    monkeypatch.setattr(gathering, "MIN_CHECKED_BYTES", 0)
    needed = 800 * comm.size  # tests run on one host
    monkeypatch.setattr(gathering, "available_memory", lambda: needed)
    np.testing.assert_array_equal(a.to_all(), np.eye(10))
    # The least counts, and is the same error on all ranks.
    less = needed - (comm.rank == comm.size - 1)
    monkeypatch.setattr(gathering, "available_memory", lambda: less)
    with pytest.raises(
        MemoryError, match=f"need {needed} bytes, but only {needed - 1} are"
    ):
        a.to_all()
    # Hosts of one rank each need as much for it alone.
    name = f"host{comm.rank}"
    monkeypatch.setattr(gathering.MPI, "Get_processor_name", lambda: name)
    monkeypatch.setattr(gathering, "available_memory", lambda: 800)
    np.testing.assert_array_equal(np.asarray(a), np.eye(10))
