"""Numbers, sums and counts are exact, against float, Fraction and NumPy."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.kernels.moments import Moments, add_to_histogram, exact_mean
from mpiapps.kernels.number import parse_number

FINITE = st.floats(allow_nan=False, allow_infinity=False)
HARD = [
    "0", "-0.0e5", "1.", ".5", ".", "", "+3", "-", "+-3", "1e", "1e+", "1e5x", "0x10",
    "inf", "nan", "1_0", "1234567890123456789_0", "1 2", "1e400", "1e-400",
    "2.2250738585072011e-308", "4.9e-324", "2.4e-324", "2.5e-324",
    "1.7976931348623157e308", "1.7976931348623159e308", "179769313486231580793e289",
    "9007199254740993", "9007199254740992.999999999999999999999",
    "9007199254740993.000000000000000000000000000001", "0e999999999999",
    "1" + 20000 * "0" + "e-20000", "0." + 20000 * "0" + "1e20000", "9" * 400,
]  # fmt: skip
DIGITS = st.text("0123456789", max_size=45)


def as_float(text):
    try:
        value = float(text) if "_" not in text else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def check(text):
    """Compare the bits, or that Python must parse the text."""
    data = np.frombuffer(text.encode(), np.uint8)
    value, undecided = parse_number(np.uint64(data.ctypes.data), 0, len(text))
    wanted = as_float(text)
    if undecided:
        assert math.isnan(value)
        assert not math.isnan(wanted)
    else:
        assert np.array([value]).tobytes() == np.array([wanted]).tobytes(), text


@pytest.mark.parametrize("text", HARD, ids=lambda text: text[:30])
def test_special_cases_equal_float(text):
    check(text)


@given(FINITE, st.integers(0, 40))
def test_numbers_equal_float(value, digits):
    for text in (repr(value), f"{value:.{digits}e}", f"{value:.{digits}f}"):
        check(text)


@given(DIGITS, DIGITS, st.integers(-400, 400), st.sampled_from(["", "-", "+"]))
def test_digits_and_exponents_equal_float(whole, fraction, power, sign):
    check(f"{sign}{whole}.{fraction}e{power}")


@given(st.integers(2**52, 2**53 - 1), st.integers(-40, 11), st.integers(-1, 1))
def test_ties_are_rounded_to_even(mantissa, power, off):
    exact = Fraction(2 * mantissa + 1) * Fraction(2) ** power
    scale = 10 ** max(0, -power)  # enough digits to be exact
    check(f"{int(exact * scale) + off}e{-max(0, -power)}")


@given(st.lists(st.one_of(FINITE, st.sampled_from([1e16, 1.0, -1e16, 1.7e308]))))
def test_a_sum_is_exact_in_any_order(values):
    parts = [Moments(), Moments()]
    for n, value in enumerate(values):
        parts[n % 2].add(np.array([value, math.inf]))
    exact = sum(map(Fraction, values))
    totals = [part.total() for part in parts]
    assert sum(Fraction(n) * Fraction(2) ** power for n, power in totals) == exact
    if values:
        assert exact_mean(len(values), totals) == float(exact / len(values))
        assert min(part.least for part in parts) == min(values)
        assert max(part.largest for part in parts) == max(values)
    assert sum(part.count for part in parts) == len(values)
    assert sum(part.others for part in parts) == len(values)


def test_sums_of_more_numbers_than_fit_are_exact(monkeypatch):
    monkeypatch.setattr("mpiapps.kernels.moments.MAX_ADDED", 10)
    values = np.full(8, -math.nextafter(2.0**40, 0.0))
    moments = Moments()
    for _ in range(5):
        moments.add(values)
    assert moments.count == 40
    assert exact_mean(40, [moments.total()]) == values[0]


def test_an_extent_of_zeros_has_no_sign():
    moments = Moments()
    moments.add(np.array([0.0] * 11 + [-0.0] * 6))
    assert (str(moments.least), str(moments.largest)) == ("0.0", "0.0")
    moments = Moments()
    moments.add(np.array([-0.0]))
    assert str(moments.least) == "0.0"


@given(FINITE, FINITE, st.integers(1, 60), st.lists(FINITE))
def test_histograms_equal_those_of_numpy(low, high, bins, values):
    low, high = min(low, high), max(low, high)
    edges = 2 * np.linspace(low / 2, high / 2, bins + 1)
    low, high = edges[0], edges[-1]
    values = np.array([*values, *edges, math.inf, -math.inf, math.nan])
    counts = np.zeros(bins + 2, np.int64)
    add_to_histogram(values, edges, counts)
    finite = values[np.isfinite(values)]
    assert counts[:-2].tolist() == np.histogram(finite, edges)[0].tolist()
    assert counts[-2:].tolist() == [(finite < low).sum(), (finite > high).sum()]
