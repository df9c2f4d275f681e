"""Which results have the same bits on any number of ranks: docs/matrix.md's table."""

import numpy as np
import pytest

from mpiapps.comm.random import Stream
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.matvec import matvec
from mpiapps.linalg.moments import mean, std
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


def bits(value):
    return np.asarray(value).tobytes()


def wide(shape, dtype):
    """Return numbers of very different sizes, whose sums depend on the order."""
    x = whole(shape, dtype)
    return (x * 10.0 ** (np.arange(shape[1]) % 5)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_of_complete_rows_and_columns_have_the_same_bits(comm, shape, dtype):
    x = wide(shape, dtype)
    rows = [
        row_sums,
        lambda a: mean(a, 1),
        lambda a: std(a, 1),
        lambda a: norm(a, "inf"),
    ]
    columns = [col_sums, lambda a: norm(a, "1")]
    for array, grid, functions in [
        (x, (comm.size, 1), rows),
        (x.T.copy(), (1, comm.size), columns),
    ]:
        alone = spread(comm, array, Layout.on_one(array.shape, 0))
        parts = spread(comm, array, Layout.blocks(array.shape, grid))
        for function in functions:
            assert bits(function(alone)) == bits(function(parts))


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
