"""Columns of Arrow become float64, gaps and all."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from mpiapps.app.arrow import numbers


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
    with pytest.raises(ValueError, match="string"):
        numbers(pa.array(["1"]))
