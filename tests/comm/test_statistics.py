"""Mean, histogram and quantiles of blocks as NumPy's of the whole array."""

import math
import warnings
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from mpiapps.comm.exact_sums import exact_sum
from mpiapps.comm.statistics import METHODS, histogram, mean, quantiles

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]

DTYPES = ["f2", "f4", "f8", ">f8", "i4", "i8", "u1", "u8", "?"]
Q = [0, 0.001, 0.1, 0.25, 1 / 3, 0.5, 0.7, 0.999, 1]


def sizes(comm):
    return sorted({0, 1, comm.size - 1, comm.size, comm.size + 1, 1000})


def numbers(dtype, n, seed=1):
    """Return n numbers of many magnitudes, some of them more than once."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        exponents = {2: 4, 4: 30, 8: 200}[dtype.itemsize]
        values = rng.normal(size=n) * 10.0 ** rng.uniform(-exponents, exponents, n)
        values = np.clip(values, *np.array([-1, 1]) * float(np.finfo(dtype).max) / 4)
        array = values.astype(dtype)
    else:
        array = rng.integers(0, 256, (n, dtype.itemsize), np.uint8).view(dtype)[:, 0]
        array = rng.integers(0, 2, n).astype(bool) if dtype.kind == "b" else array
    array[n // 2 :] = array[: n - n // 2][::-1] if n % 3 == 0 else array[n // 2 :]
    return array


def block_of(whole, comm, cut):
    """Return this rank's part: balanced, all on the last rank, or every P-th."""
    if cut == "last":
        return whole if comm.rank == comm.size - 1 else whole[:0]
    if cut == "cyclic":
        return whole[comm.rank :: comm.size]
    return np.array_split(whole, comm.size)[comm.rank]


CUTS = ["even", "last", "cyclic"]


def assert_same(result, expected):
    """Assert equal types, dtypes and bits, but of NaN."""
    assert type(result) is type(expected)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(np.isnan(result), np.isnan(expected))
    unsigned = f"u{result.dtype.itemsize}"
    bits = [np.nan_to_num(np.atleast_1d(each), posinf=np.inf, neginf=-np.inf)
            .view(unsigned) for each in (result, expected)]  # fmt: skip
    np.testing.assert_array_equal(*bits)


def outcome(function, *arguments, **options):
    """Return the result, or type and text of the error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(*arguments, **options)
        except Exception as error:
            return type(error), str(error)


def check_quantiles(comm, whole, q, method="linear", cut="even"):
    expected = outcome(np.quantile, whole, q, method=method)
    result = outcome(quantiles, comm, block_of(whole, comm, cut), q, method)
    if isinstance(expected, tuple):
        assert result == expected
    else:
        assert_same(result, expected)


@pytest.mark.parametrize(
    ("dtype", "method"),
    [*product(DTYPES, ["linear"]), *product(["f4", "u1"], METHODS[1:])],
)
def test_quantiles_have_the_bits_of_numpy(comm, dtype, method):
    for n in sizes(comm):
        if n == 0 and dtype == "?":
            continue  # NumPy does not reach the subtraction, which raises
        check_quantiles(comm, numbers(dtype, n), Q, method, CUTS[n % 3])


@pytest.mark.parametrize(
    "q",
    [0, 1, 0.3, np.float32(0.3), np.float16(0.3), np.array(0.3), [0, 1], [],
     np.array([[0.1, 0.2], [0.3, 1.0]]), np.array([0.1, 0.9], "f4"),
     [True, False]],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["f4", "i8"])
def test_orders_of_any_shape_and_dtype(comm, q, dtype):
    for n in 1, 2, 1000:
        check_quantiles(comm, numbers(dtype, n), q)


@pytest.mark.parametrize(
    "values",
    [[2.5] * 7, [1, 1, 1, 2], [np.nan, 1, 2], [np.inf, 1, 2, -np.inf, 3], [np.inf],
     [-0.0] * 5, [-1, -0.0, 2], [np.nan] * 3, [-1, 0.0, 0.0, 2],
     [np.inf] * 3 + [np.nan]],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["f2", "f8"])
def test_quantiles_of_ties_and_special_numbers(comm, values, dtype):
    with np.errstate(all="ignore"):
        whole = np.array(values).astype(dtype)
    for method in METHODS:
        check_quantiles(comm, whole, Q, method)
    check_quantiles(comm, whole, 0.5)
    check_quantiles(comm, whole, np.float64(0.5))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_quantiles_of_the_smallest_and_largest_numbers(comm, dtype):
    info = np.finfo(dtype)
    tiny, large = info.smallest_subnormal, info.max
    whole = np.array([tiny, large, -large, -tiny, 3 * tiny, 1, large], dtype)
    for method in METHODS:
        check_quantiles(comm, whole, Q, method, "cyclic")


def test_minus_zero_is_before_zero(comm):
    whole = np.array([0.0, -0.0, 0.0, -0.0])
    result = quantiles(comm, block_of(whole, comm, "cyclic"), [0, 1.0], "lower")
    assert np.signbit(result).tolist() == [True, False]


@pytest.mark.parametrize(
    ("q", "method", "text"),
    [(1.5, "linear", r"range \[0, 1\]"), ([0.5, np.nan], "linear", "range"),
     (0.5, "hazen", "expected one of linear"), (1j, "linear", "real numbers"),
     ([object()], "linear", "real numbers")],
)  # fmt: skip
def test_wrong_quantiles_are_refused(comm, q, method, text):
    with pytest.raises((TypeError, ValueError), match=text):
        quantiles(comm, np.ones(3), q, method)


def test_orders_too_narrow_for_the_array_are_refused(comm):
    with (
        pytest.raises(ValueError, match="too narrow for"),
        pytest.warns(RuntimeWarning),
    ):
        quantiles(comm, np.zeros(70_000, np.uint8), np.array([0.0], np.float16))


def check_histogram(comm, whole, *arguments, cut="even"):
    expected = outcome(np.histogram, whole, *arguments)
    result = outcome(histogram, comm, block_of(whole, comm, cut), *arguments)
    if isinstance(expected[0], type):
        assert result == expected
    else:
        for one, other in zip(result, expected, strict=True):
            assert_same(one, other)


@pytest.mark.parametrize("dtype", DTYPES)
def test_histograms_are_those_of_numpy(comm, dtype):
    edges = np.array([-2.5, -1, 0, 0, 1, 7, 1e4])
    for n in sizes(comm):
        whole = numbers(dtype, n)
        cut = CUTS[n % 3]
        check_histogram(comm, whole, 7, cut=cut)
        check_histogram(comm, whole, 7, (0, 100.5), cut=cut)
        check_histogram(comm, whole, edges, cut=cut)
        check_histogram(comm, whole, [0, 1, 2], cut=cut)


@pytest.mark.parametrize(
    "arguments",
    [(0,), (-1,), (2.5,), ([3, 1, 2],), ([[1, 2]],), (3, (2, 1)), (3, (0, np.inf)),
     (3, (1, 1)), (np.int32(3), [0, 2]), (3, 5), (None,)],
    ids=repr,
)  # fmt: skip
def test_histograms_of_wrong_and_rare_arguments(comm, arguments):
    if arguments == (None,):
        with pytest.raises(TypeError, match="holds Python objects"):
            histogram(comm, np.ones(3), None)
        return
    check_histogram(comm, np.arange(5.0), *arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_histograms_of_special_numbers(comm, value):
    whole = np.array([1, 2, value, 3, value, 0])
    check_histogram(comm, whole, 4)
    check_histogram(comm, whole, 4, (0, 3))
    check_histogram(comm, whole, [0, 1, 2.5])


def test_all_equal_and_too_many_bins(comm):
    check_histogram(comm, np.full(9, 3.0), 4)
    check_histogram(comm, np.full(9, 1e16), 4)
    check_histogram(comm, np.arange(9, dtype="f2"), 100_000)


def test_estimators_of_bins_are_refused(comm):
    with pytest.raises(ValueError, match="pass a number of bins"):
        histogram(comm, np.ones(3), "auto")


@pytest.mark.parametrize("dtype", DTYPES)
def test_means_are_exact(comm, dtype):
    for n in filter(None, sizes(comm)):
        whole = numbers(dtype, n)
        exact = Fraction(sum(Fraction(value) for value in whole.tolist()), n)
        results = {mean(comm, block_of(whole, comm, cut)) for cut in CUTS}
        results.add(mean(comm, block_of(whole[::-1], comm, "even")))
        (result,) = results
        assert type(result) is float
        assert result == float(exact)


def test_means_where_floating_point_sums_cancel(comm):
    whole = np.array([1e16, 1.0, -1e16, 1.0] * 3 + [2**53, 1.0])
    for cut in CUTS:
        expected = float(sum(map(Fraction, whole)) / whole.size)
        assert mean(comm, block_of(whole, comm, cut)) == expected
    whole = np.full(8, 2**63 - 1)
    assert mean(comm, block_of(whole, comm, "even")) == 2.0**63


@pytest.mark.parametrize(
    "values", [[np.nan, 1], [np.inf, 1], [-np.inf, 1], [np.inf, -np.inf]]
)
def test_means_of_special_numbers(comm, values):
    result = mean(comm, block_of(np.array(values), comm, "even"))
    np.testing.assert_equal(result, outcome(np.mean, np.array(values)))


@pytest.mark.parametrize("dtype", ["f8", "i4"])
def test_the_mean_of_no_numbers_is_nan_with_a_warning(comm, dtype):
    with pytest.warns(RuntimeWarning) as caught:
        assert math.isnan(mean(comm, np.empty(0, dtype)))
    assert "Mean of empty slice" in str(caught[0].message)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_are_exact_and_rounded_once(comm, dtype):
    for n in sizes(comm):
        whole = numbers(dtype, n)
        found = {exact_sum(comm, block_of(whole, comm, cut)) for cut in CUTS}
        expected = sum(map(Fraction, whole.tolist()))
        assert found == {float(expected) if whole.dtype.kind == "f" else expected}


def test_sums_do_not_overflow_or_cancel(comm):
    largest = np.array([np.iinfo("u8").max] * 3, "u8")
    assert exact_sum(comm, largest) == 3 * comm.size * (2**64 - 1)
    whole = np.array([1e308, 1.0, 1e308, -1e308, -1e308, 1e-300] * comm.size)
    for cut in CUTS:
        assert exact_sum(comm, block_of(whole, comm, cut)) == comm.size
        assert mean(comm, block_of(whole, comm, cut)) == 1 / 6
    assert exact_sum(comm, np.array([5e-324, 5e-324])) == comm.size * 1e-323
    for sign in 1, -1:
        assert exact_sum(comm, np.array([sign * 1e308] * 2)) == sign * np.inf
        assert mean(comm, np.array([sign * 1.7e308] * 2)) == sign * 1.7e308
    for special in (np.inf, np.nan):
        block = np.array([1.0, special if comm.rank == 0 else 2.0])
        np.testing.assert_equal(exact_sum(comm, block), special)
