"""Checks find what is wrong and pass what is right, whatever the scales."""

import numpy as np
import pytest

from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.condition import condition
from mpiapps.linalg.multiply import gram, multiply
from mpiapps.linalg.residual import residual
from mpiapps.linalg.result_checks import (
    factor_error,
    gram_error,
    inverse_error,
    product_error,
    solution_error,
    transpose_error,
)
from mpiapps.linalg.solve import inverse, solve
from mpiapps.matrix import TOLERANCE
from tests.linalg.cases import DTYPES, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]
N = 60
SCALES = {  # of rows, and of columns
    "even": (0, 0),
    "rows": (12, 0),
    "columns": (0, 12),
    "both": (10, -10),
}


def graded(comm, dtype, scale, seed=0):
    rows, columns = (10.0 ** np.linspace(0, each, N) for each in SCALES[scale])
    x = whole((N, N), dtype, seed) * rows[:, None] * columns
    return spread(comm, x.astype(dtype))


def definite(comm, dtype, scale):
    """A Hermitian matrix whose rows and columns have scales."""
    x = whole((N, N), dtype)
    rows = 10.0 ** np.linspace(0, SCALES[scale][0] / 2, N)
    x = (x @ x.conj().T + N * np.eye(N)) * rows[:, None] * rows
    return spread(comm, x.astype(dtype))


def results(comm, dtype, scale):
    """Yield each check, its operands and a right result."""
    a, b = graded(comm, dtype, scale), graded(comm, dtype, scale, seed=1)
    yield product_error, [a, b], multiply(a, b)
    yield gram_error, [a], gram(a)
    yield transpose_error, [a], a.T
    yield solution_error, [a, b], solve(a, b)
    yield inverse_error, [a], inverse(a)
    a = definite(comm, dtype, scale)
    yield factor_error, [a], cholesky(a)
    yield solution_error, [a, b], solve(a, b, kind="positive")
    yield inverse_error, [a], inverse(a, kind="positive")


def spoiled(made, how, number):
    """Return a result with something wrong in it."""
    bad = made.copy()
    row, column = bad.row_indices == number, bad.col_indices == number
    if how == "row":
        bad.local[row] = 0
    elif how == "column":
        bad.local[:, column] = 0
    elif how == "diagonal":
        bad.local[np.ix_(row, column)] *= 1.01
    else:
        bad.local[np.ix_(row, column)] = np.nan
    return bad


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_correct_results_pass_and_wrong_ones_fail(comm, dtype, scale):
    # Each way to spoil a result meets each number for some of the cases.
    numbers, turn = [0, N // 2, N - 1], [*SCALES].index(scale) + DTYPES.index(dtype)
    for error_of, given, made in results(comm, dtype, scale):
        error = error_of(given, made)
        assert error < TOLERANCE / 10, error_of
        for how in ("row", "column", "nan"):
            turn += 1
            number = numbers[turn % 3]
            error = error_of(given, spoiled(made, how, number))
            assert not error <= TOLERANCE, (error_of, how, number)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_zeroed_row_of_a_large_product_fails_in_single_precision(comm, dtype):
    rng = np.random.default_rng(0)
    a = spread(comm, rng.standard_normal((40, 4000)).astype(dtype))
    b = spread(comm, rng.standard_normal((4000, 1000)).astype(dtype))
    made = multiply(a, b)
    assert product_error([a, b], made) < 1
    for how in ("row", "column"):
        assert product_error([a, b], spoiled(made, how, 20)) > 5 * TOLERANCE


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e150, 1e-310])
def test_extreme_scales_neither_fail_nor_pass_anything(comm, value):
    a, b = (spread(comm, whole((9, 9), seed=s) * x) for s, x in ((0, value), (1, 1e8)))
    made = multiply(a, b)
    assert product_error([a, b], made) <= TOLERANCE
    if value:
        assert not product_error([a, b], spoiled(made, "row", 4)) <= TOLERANCE


def test_an_overflow_fails(comm):
    a = spread(comm, np.full((4, 4), 1e200))
    assert not product_error([a, a], multiply(a, a)) <= TOLERANCE


def test_a_solution_with_zero_blocks_passes(comm):
    """The first half of X is zero but for rounding errors, and so are its rows."""
    x = whole((N, N))
    x[: N // 2, N // 2 :] = 0
    y = whole((N, 3))
    y[: N // 2] = 0
    a, b = spread(comm, x), spread(comm, y)
    assert solution_error([a, b], solve(a, b)) < TOLERANCE


def growing(n):
    """Wilkinson's matrix, whose elements double in every step of LU."""
    x = np.eye(n) - np.tril(np.ones((n, n)), -1)
    x[:, -1] = 1
    return x


@pytest.mark.parametrize("n", [40, 60, 100, 200])
@pytest.mark.parametrize("steps", [1, 3, 9])
def test_refinement_never_worsens_a_solution(comm, n, steps):
    x = growing(n)
    truth = np.hstack([np.ones((n, 1)), whole((n, 6)), np.abs(whole((n, 2), seed=1))])
    a, b = spread(comm, x), spread(comm, x @ truth)
    plain, refined = (solve(a, b, refinements=most) for most in (0, steps))
    # With n = 200 no digit of the solutions is right: only backward errors compare.
    assert (residual(a, refined, b)[1] <= residual(a, plain, b)[1]).all()
    if n <= 60:  # where some digits are left, refinement finds the others
        assert np.abs(np.asarray(refined) - truth).max() < 1e-10


def test_refinement_does_not_spread_an_overflow(comm):
    a = spread(comm, np.diag([1e-300, 1.0, 2.0]))
    b = spread(comm, np.array([[1e300, 1], [1, 1], [4, 4]]))
    found, plain = (np.asarray(solve(a, b, refinements=most)) for most in (3, 0))
    np.testing.assert_allclose(found, plain, 1e-15)
    np.testing.assert_allclose(found[:, 1], [1e300, 1, 2], 1e-15)
    alone = spread(comm, np.array([[1e300], [1], [4]]))
    np.testing.assert_array_equal(np.asarray(solve(a, alone)), [[np.inf], [1], [2]])


def test_refinement_of_a_definite_system_reads_only_the_lower_triangle(comm):
    x, y = np.asarray(definite(comm, "c16", "rows")), whole((N, 2), "c16")
    expected = np.linalg.solve(x, y)
    other = np.tril(x) + np.triu(whole((N, N), "c16"), 1)
    found = np.asarray(solve(spread(comm, other), spread(comm, y), kind="positive"))
    np.testing.assert_allclose(found, expected, 1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", ["rows", "both"])
def test_one_refinement_is_rowwise_backward_stable(comm, dtype, scale):
    a, b = graded(comm, dtype, scale), graded(comm, dtype, "even", seed=1)
    errors = residual(a, solve(a, b, refinements=1), b)[1]
    assert errors.max() < 20 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [10, 60, 300])
def test_the_condition_of_a_matrix_with_pivot_growth(comm, dtype, n):
    found = condition(spread(comm, growing(n).astype(dtype)))
    np.testing.assert_allclose(found, n, 1e-3)


@pytest.mark.parametrize(
    ("diagonal", "expected"),
    [
        ([1e-310], 1),
        ([5e-324], 1),
        ([1.7e308], 1),
        ([1, 1e-300], 1e300),
        ([1, 1e-310], np.inf),
        ([1e200, 1e-200], np.inf),
        ([1e-200, 1e-210], 1e10),
        ([0, 0], np.inf),
        ([3, 0], np.inf),
    ],
)
def test_the_condition_does_not_depend_on_the_scale(comm, diagonal, expected):
    found = condition(spread(comm, np.diag(np.array(diagonal, float))))
    assert found == pytest.approx(expected, rel=1e-9)
