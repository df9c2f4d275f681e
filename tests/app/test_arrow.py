"""Arrow columns of all numeric types are converted to the nearest float64."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.app.arrow import numbers

LARGE = [0, 1, -1, 2**53 + 1, -(2**62) - 1, 2**63 - 1]


def check(values, kind):
    """Compare with `float`, in one chunk, in two, and with an offset."""
    array = pa.array(values, kind)
    expected = [np.nan if value is None else float(value) for value in values]
    two_chunks = pa.chunked_array([array[:1], array[1:]], kind)
    for column in (array, pa.chunked_array([array], kind), two_chunks):
        assert np.array_equal(numbers(column), expected, equal_nan=True)
    assert np.array_equal(numbers(array[1:]), expected[1:], equal_nan=True)


@given(
    st.sampled_from([(9, 2), (18, 0), (38, 2), (38, 18), (38, 30), (76, 40), (5, -3)]),
    st.lists(st.one_of(st.none(), st.integers(-(10**38), 10**38)), max_size=6),
)
def test_decimals_equal_float(form, units):
    precision, scale = form
    units = [n if n is None else n % 10 ** min(precision, 38) for n in units]
    signed = [n if n is None or k % 2 else -n for k, n in enumerate(units)]
    values = [n if n is None else Decimal(f"{n}e{-scale}") for n in signed]
    check(values, (pa.decimal256 if precision > 38 else pa.decimal128)(*form))


def test_narrow_decimals_and_prices():
    prices = [Decimal(n).scaleb(-2) for n in range(-999, 99_999, 7)]
    for kind in (pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256):
        check([*prices, None], kind(9, 2))


@pytest.mark.parametrize("null", [[], [None]])
def test_integers_equal_float(null):
    check([*LARGE, *null], pa.int64())
    check([*map(abs, LARGE), 2**64 - 1, *null], pa.uint64())
    check([1, 0, 127, *null], pa.int8())
    check([True, False, *null], pa.bool_())
    check([0.5, float("inf"), *null], pa.float32())
    check(null, pa.float64())


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1.0, 2.0]),
        pa.array([1, 2], pa.int32()),
        pa.array([1, 2], pa.uint8()),
        pa.array([1.0, 2.0], pa.float32()),
        pa.array([Decimal("1.0"), Decimal("2.0")]),
        pa.chunked_array([[1.0], [2.0]]),
        pa.chunked_array([[1.0, 2.0]]),
        pa.chunked_array([[0.0, 1.0, 2.0]])[1:],
    ],
)
def test_numbers_are_float64(column):
    values = numbers(column)
    assert values.dtype == np.float64
    assert values.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kind", [pa.float64(), pa.int64(), pa.bool_()])
def test_nulls_are_nan(kind):
    values = numbers(pa.chunked_array([pa.array([1, None]).cast(kind)]))
    assert np.array_equal(values, [1.0, np.nan], equal_nan=True)


def test_a_column_without_rows():
    assert numbers(pa.chunked_array([], pa.float64())).tolist() == []


def test_a_column_of_strings_is_refused():
    with pytest.raises(ValueError, match="the column holds string, not numbers"):
        numbers(pa.array(["1"]))
