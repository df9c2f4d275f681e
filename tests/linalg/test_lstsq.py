"""Least squares as NumPy: values, shapes, residuals, on any number of ranks."""

import numpy as np
import pytest

from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.lstsq import lstsq
from mpiapps.linalg.result_checks import least_squares_error
from tests.linalg.cases import DTYPES, layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

SHAPES = [(1, 1), (9, 9), (40, 6), (6, 40), (17, 1), (1, 17), (5, 0), (0, 5)]


def check(comm, x, b, rcond=None, layout=None):
    """Compare with NumPy in double precision."""
    found = lstsq(spread(comm, x, layout), spread(comm, b), rcond)
    solution, eps = np.asarray(found.x), np.finfo(x.dtype).eps
    # NumPy's default has the eps of float64 also for float32.
    expected = np.linalg.lstsq(x, b, eps * max(x.shape) if rcond is None else rcond)
    assert solution.dtype == expected[0].dtype
    assert found.rank == expected[2]
    scale = expected[3].max(initial=0)
    np.testing.assert_allclose(found.s, expected[3], atol=100 * eps * (scale or 1))
    assert found.residuals.shape == expected[1].shape
    norm = float((np.abs(b) ** 2).sum()) or 1
    np.testing.assert_allclose(found.residuals, expected[1], atol=100 * eps * norm)
    # The backward errors: of the projection of the residual, and of the smallest norm.
    size = scale * (scale * np.abs(solution).max(initial=0) + np.abs(b).max(initial=0))
    rest = x.conj().T @ (b - x @ solution)
    assert np.abs(rest).max(initial=0) <= 300 * eps * (size or 1)
    ratio = np.linalg.norm(solution) / (np.linalg.norm(expected[0]) or 1)
    assert ratio <= 1.001


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_any_shape(comm, shape, dtype):
    x, b = whole(shape, dtype), whole((shape[0], 3), dtype, seed=1)
    for layout in layouts(shape, comm.size):
        check(comm, x, b, layout=layout)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_rank_deficient_systems_have_the_solution_of_smallest_norm(comm, shape, dtype):
    x = (whole((shape[0], 3), dtype) @ whole((3, shape[1]), dtype)).astype(dtype)
    b = whole((shape[0], 2), dtype, seed=1)
    check(comm, x, b)
    check(comm, np.zeros_like(x), b)
    graded = x * (10.0 ** -np.arange(shape[1])).astype(x.real.dtype)
    check(comm, graded, b, 1e-4)


def test_vectors_give_vectors(comm):
    x, b = whole((20, 4)), whole((20, 1))[:, 0]
    found, expected = lstsq(spread(comm, x), b), np.linalg.lstsq(x, b)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other)
    numpys = np.linalg.lstsq(spread(comm, x), b)
    np.testing.assert_array_equal(numpys[0], found.x)


def test_unsuitable_operands_are_refused_on_all_ranks(comm):
    a = DistMatrix.eye(comm, 4)
    with pytest.raises(ValueError, match="for 3 rows; expected 4"):
        lstsq(a, np.ones(3))
    b = np.ones((4, 2))
    b[3, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        lstsq(a, b)
    with pytest.raises(ValueError, match="finite"):
        lstsq(spread(comm, b), np.ones(4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_the_check_detects_a_wrong_solution(comm, dtype, shape):
    a, b = spread(comm, whole(shape, dtype)), spread(comm, whole((shape[0], 2), dtype))
    x = lstsq(a, b).x
    assert least_squares_error([a, b], x) < 10
    assert least_squares_error([a, b], x * 1.1) > 100
