"""Mean and standard deviation are NumPy's, of any layout."""

import warnings
from fractions import Fraction

import numpy as np
import pytest

from mpiapps.linalg.moments import mean, std, var
from tests.linalg.cases import DTYPES, layouts, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

SHAPES = [(1, 1), (1, 7), (7, 1), (4, 4), (13, 10)]


def same(found, expected):
    assert np.shape(found) == np.shape(expected)
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    eps = np.finfo(np.asarray(expected).dtype).eps
    np.testing.assert_allclose(found, expected, rtol=50 * eps, atol=50 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("shape", SHAPES)
def test_moments_in_any_layout_are_those_of_numpy(comm, shape, axis, dtype):
    array = whole(shape, dtype)
    for layout in layouts(shape, comm.size):
        made = spread(comm, array, layout)
        same(mean(made, axis), array.mean(axis=axis))
        same(std(made, axis), array.std(axis=axis))
        same(var(made, axis), array.var(axis=axis))


@pytest.mark.parametrize("ddof", [1, 5, 40])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_degrees_of_freedom_are_subtracted(comm, axis, ddof):
    array = whole((5, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = array.std(axis=axis, ddof=ddof)
    same(std(spread(comm, array), axis, ddof=ddof), expected)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_the_mean_of_no_elements_is_nan(comm, shape, axis):
    array = whole(shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = array.mean(axis=axis), array.std(axis=axis)
    for layout in layouts(shape, comm.size):
        made = spread(comm, array, layout)
        same(mean(made, axis), expected[0])
        same(std(made, axis), expected[1])


def test_large_numbers_with_small_differences_keep_their_digits(comm):
    array = whole((200, 30)) + 1e8
    found = std(spread(comm, array), 0)
    np.testing.assert_allclose(found, array.std(axis=0), rtol=1e-7)


@pytest.mark.parametrize("kind", ["f8", "c16"])
@pytest.mark.parametrize("offset", [1e12, 1e15])
def test_the_rounding_error_of_a_large_mean_is_corrected(comm, offset, kind):
    array = whole((300, 4), kind) + offset  # rounded here, and exact from here on
    exact = np.array([[Fraction(x) for x in row] for row in array.real])
    squares = variances(exact)
    if kind == "c16":
        parts = np.array([[Fraction(x) for x in row] for row in array.imag])
        squares = [x + y for x, y in zip(squares, variances(parts), strict=True)]
    for layout in layouts(array.shape, comm.size):
        found = std(spread(comm, array, layout), 0)
        np.testing.assert_allclose(found, np.sqrt(np.array(squares, float)), rtol=1e-13)


def variances(columns):
    means = columns.sum(axis=0) / len(columns)
    return ((columns - means) ** 2).sum(axis=0) / len(columns)


def test_a_variance_is_rounded_once(comm):
    array = np.array([[0.0, 0.0, 1.0]])  # the square of its root is another number
    made = spread(comm, array)
    assert np.var(made) == var(made) == np.var(array) != np.square(std(made))


def test_sums_that_overflow_have_the_variance_of_numpy(comm):
    array = np.array([[1.5e308, 1.0], [1.5e308, np.inf], [1.0, 2.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = array.mean(axis=0), array.var(axis=0)
    for layout in layouts(array.shape, comm.size):
        made = spread(comm, array, layout)
        np.testing.assert_array_equal((mean(made, 0), var(made, 0)), expected)


def test_an_invalid_axis_is_refused(comm):
    with pytest.raises(ValueError, match="axis 2 is not one of"):
        mean(spread(comm, whole((2, 2))), 2)
