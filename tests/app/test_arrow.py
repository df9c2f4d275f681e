"""Columns of Arrow become the nearest float64, whatever their type."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.app.arrow import numbers

LARGE = [0, 1, -1, 2**53 + 1, -(2**62) - 1, 2**63 - 1]


def check(values, kind):
    """Compare with `float`, as a whole, in pieces, and behind an offset."""
    array = pa.array(values, kind)
    wanted = [np.nan if value is None else float(value) for value in values]
    pieces = pa.chunked_array([array[:1], array[1:]], kind)
    for column in (array, pa.chunked_array([array], kind), pieces):
        assert np.array_equal(numbers(column), wanted, equal_nan=True)
    assert np.array_equal(numbers(array[1:]), wanted[1:], equal_nan=True)


@given(
    st.sampled_from([(9, 2), (18, 0), (38, 2), (38, 18), (38, 30), (76, 40), (5, -3)]),
    st.lists(st.one_of(st.none(), st.integers(-(10**38), 10**38)), max_size=6),
)
def test_decimals_are_those_of_float(form, units):
    precision, scale = form
    units = [n if n is None else n % 10 ** min(precision, 38) for n in units]
    signed = [n if n is None or k % 2 else -n for k, n in enumerate(units)]
    values = [n if n is None else Decimal(f"{n}e{-scale}") for n in signed]
    check(values, (pa.decimal256 if precision > 38 else pa.decimal128)(*form))


def test_narrow_decimals_and_prices():
    prices = [Decimal(n).scaleb(-2) for n in range(-999, 99_999, 7)]
    for kind in (pa.decimal32, pa.decimal64, pa.decimal128, pa.decimal256):
        check([*prices, None], kind(9, 2))


@pytest.mark.parametrize("gap", [[], [None]])
def test_integers_are_those_of_float(gap):
    check([*LARGE, *gap], pa.int64())
    check([*map(abs, LARGE), 2**64 - 1, *gap], pa.uint64())
    check([1, 0, 127, *gap], pa.int8())
    check([True, False, *gap], pa.bool_())
    check([0.5, float("inf"), *gap], pa.float32())
    check(gap, pa.float64())


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
    found = numbers(column)
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kind", [pa.float64(), pa.int64(), pa.bool_()])
def test_gaps_are_nan(kind):
    found = numbers(pa.chunked_array([pa.array([1, None]).cast(kind)]))
    assert np.array_equal(found, [1.0, np.nan], equal_nan=True)


def test_no_rows_are_no_numbers():
    assert numbers(pa.chunked_array([], pa.float64())).tolist() == []


def test_words_are_none():
    with pytest.raises(ValueError, match="the column holds string, not numbers"):
        numbers(pa.array(["1"]))
