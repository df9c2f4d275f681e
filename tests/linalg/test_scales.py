"""Results and checks do not depend on the scale, down to denormal numbers."""

import numpy as np
import pytest
import scipy.linalg

from mpiapps.linalg.condition import condition
from mpiapps.linalg.eigh import eigh
from mpiapps.linalg.eigsh import eigsh
from mpiapps.linalg.lstsq import lstsq
from mpiapps.linalg.result_checks import (
    eigenvector_error,
    least_squares_error,
    singular_value_error,
    singular_vector_error,
)
from mpiapps.linalg.scaling import scale_by_power
from mpiapps.linalg.solve import hermitian
from mpiapps.linalg.svd import singular_values
from mpiapps.linalg.svds import svds
from mpiapps.matrix import TOLERANCE
from tests.linalg.cases import DTYPES, spread, whole

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]
SCALES = {  # binary exponents of the elements, for a dtype
    "denormal": lambda kind: kind.minexp - 10,
    "squares underflow": lambda kind: kind.minexp // 2 - 20,
    "squares overflow": lambda kind: kind.maxexp // 2 + 20,
    "largest": lambda kind: kind.maxexp - 8,
}
all_scales = pytest.mark.parametrize("scale", SCALES)
all_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def times_power(x, exponent):
    x = x.copy()
    scale_by_power(x, exponent)
    return x


def exponent_for(dtype, scale):
    return SCALES[scale](np.finfo(dtype))


@all_dtypes
def test_the_condition_if_the_inverse_decays_to_denormal_numbers(comm, dtype):
    n = 100 if np.finfo(dtype).bits == 32 else 600
    x = scipy.linalg.toeplitz(np.r_[4, -1, np.zeros(n - 2)])
    phases = np.exp(1j * np.arange(n)) if np.dtype(dtype).kind == "c" else np.ones(n)
    x = x * phases[:, None] * phases
    found = condition(spread(comm, x.astype(dtype)))
    assert 2 < found < 1.01 * np.linalg.cond(x, 1)


@all_scales
@all_dtypes
@pytest.mark.parametrize("shape", [(60, 6), (6, 60), (6, 6)])
def test_least_squares(comm, shape, dtype, scale):
    exponent = exponent_for(dtype, scale)
    a = times_power(whole(shape, dtype), exponent)
    for exponent_b in (exponent, exponent // 2):
        b = times_power(whole((shape[0], 2), dtype, seed=1), exponent_b)
        found = lstsq(spread(comm, a), spread(comm, b))
        # NumPy's result for the same digits.
        wide = np.result_type(dtype, "f8")
        given = times_power(a, -exponent), times_power(b, -exponent_b)
        expected = np.linalg.lstsq(*(x.astype(wide) for x in given))
        x = times_power(np.asarray(found.x), exponent - exponent_b)
        limit = 1000 * np.finfo(dtype).eps
        np.testing.assert_allclose(x, expected[0], limit, limit)
        unit = np.finfo(dtype).smallest_subnormal
        s = times_power(expected[3], exponent)
        np.testing.assert_allclose(found.s, s, limit, unit)


def results(comm, dtype, exponent):
    """Yield each check, its operands and a right result."""
    x = times_power(whole((30, 8), dtype), exponent)
    a, b = spread(comm, x), spread(comm, x[:, :2])
    yield least_squares_error, [a, b], lstsq(a, b).x
    yield singular_vector_error, [a], svds(a, 3).Vh.H
    s = singular_values(a)
    yield singular_value_error, [a], spread(comm, s[:, None])
    h = hermitian(spread(comm, x[:8]))
    yield eigenvector_error, [h], eigh(h).eigenvectors
    yield eigenvector_error, [h], eigsh(h, 3).eigenvectors


@all_scales
@all_dtypes
def test_checks_pass_right_results_and_fail_wrong_ones(comm, dtype, scale):
    for error_of, given, result in results(comm, dtype, exponent_for(dtype, scale)):
        assert error_of(given, result) < TOLERANCE / 3, error_of  # QR rounds R
        assert not error_of(given, result * 1.1) <= TOLERANCE, error_of


@all_scales
@all_dtypes
def test_the_check_of_least_squares_with_scales_of_its_own(comm, dtype, scale):
    """X may be denormal, though A is not, and rounded to these."""
    b = times_power(whole((30, 2), dtype, seed=1), exponent_for(dtype, scale))
    given = [spread(comm, whole((30, 8), dtype)), spread(comm, b)]
    x = lstsq(*given).x
    assert least_squares_error(given, x) < TOLERANCE / 10
    assert not least_squares_error(given, x * 2) <= TOLERANCE


@all_scales
@all_dtypes
def test_the_check_of_generalised_eigenvectors(comm, dtype, scale):
    """Eigenvectors have the scale of B to the power -1/2."""
    x = whole((8, 8), dtype)
    a, b = x + x.conj().T, x @ x.conj().T + 8 * np.eye(8)
    exponent = exponent_for(dtype, scale) // 2 * 2 - 10
    b = times_power(b.astype(dtype), exponent)
    v = scipy.linalg.eigh(a, times_power(b, -exponent))[1]
    given = [spread(comm, a.astype(dtype)), spread(comm, b)]
    v = spread(comm, times_power(v.astype(dtype), -exponent // 2))
    assert eigenvector_error(given, v) < TOLERANCE / 10
    assert not eigenvector_error(given, v * 1.1) <= TOLERANCE


@all_scales
@all_dtypes
def test_matrices_that_are_not_hermitian_are_refused(comm, dtype, scale):
    x = times_power(whole((8, 8), dtype), exponent_for(dtype, scale))
    with pytest.raises(ValueError, match="not Hermitian"):
        eigsh(spread(comm, x), 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_hermitian_matrix_of_a_triangle_is_exact(comm, dtype):
    for value in (np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max):
        x = np.full((5, 5), value, dtype)
        expected = np.tril(x) + np.tril(x, -1).conj().T
        found = hermitian(spread(comm, np.where(np.tri(5) > 0, x, np.nan)))
        np.testing.assert_array_equal(np.asarray(found), expected)
