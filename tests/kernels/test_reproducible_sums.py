"""Sums are those of `math.fsum`, to a unit in the last place, in any order."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpiapps.kernels.merged_sums import round_sums
from mpiapps.kernels.reproducible_sums import (
    MAGNITUDE,
    TILE,
    add_columns,
    add_rows,
    means,
    merge,
    new_state,
    values,
)
from mpiapps.kernels.sum_states import add_digits

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ROWS, COLUMNS = 134, 300  # more than the kernels take at a time
KINDS = [
    "normal",
    "wide",
    "subnormal",
    "huge",
    "sorted",
    "zeros",
    "infinite",
    "nan",
    "-nan",
]


def column_sums(x, mask=-1):
    state = new_state(x.shape[1])
    add_columns(x.reshape(-1), 0, x.shape[1], len(x), mask, state)
    return values(state)


def row_sums(x, mask=-1, square=False):
    state = new_state(len(x))
    add_rows(x.reshape(-1), 0, x.shape[1], x.shape[1], mask, square, state)
    return values(state)


@pytest.mark.parametrize("kind", KINDS)
def test_means_and_the_means_of_the_deviations_from_them(kind):
    x = numbers(kind, (ROWS, COLUMNS))
    state = new_state(COLUMNS)
    add_columns(x.reshape(-1), 0, COLUMNS, ROWS, -1, state)
    mean, rest = means(state, ROWS)
    with np.errstate(all="ignore"):
        assert_close(mean, values(state) / ROWS)
        state = new_state(COLUMNS)
        add_columns(x.reshape(-1), 0, COLUMNS, ROWS, -1, state)
        add_digits(state, -mean[None], 0, ROWS)  # NumPy's operations, not the kernel
        assert_close(rest, values(state) / ROWS)


def numbers(kind, shape):
    """Return numbers of a kind."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape)
    powers = {"wide": (-300, 300), "subnormal": (-1074, -1000), "huge": (950, 1010)}
    if kind in powers:
        return np.ldexp(x, rng.integers(*powers[kind], shape))
    if kind == "sorted":
        return np.ldexp(x, np.linspace(-900, 900, x.size, dtype=int).reshape(shape))
    some = rng.random(shape) < 0.01
    x[some] = {"infinite": np.inf, "nan": np.nan, "-nan": -np.nan}.get(kind, 1.0)
    x[~some] *= kind != "zeros"
    return x


def exact(terms):
    try:
        return math.fsum(terms)
    except ValueError:  # inf - inf
        return math.nan
    except OverflowError:
        return None


def assert_close(found, expected, tolerance=0.0):
    for value, wanted in zip(found, expected, strict=True):
        if wanted is None or value == wanted:
            continue
        if math.isnan(wanted):
            assert math.isnan(value)
        else:
            assert abs(value - wanted) <= math.ulp(wanted) + tolerance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (COLUMNS, 3), (5000, 1), (1, 9)])
def test_sums_of_rows_and_columns(shape, kind):
    x = numbers(kind, shape)
    columns, rows = column_sums(x), row_sums(x)
    assert_close(columns, [exact(column) for column in x.T])
    assert_close(rows, [exact(row) for row in x])
    # In another order, by the other kernel.
    order = np.random.default_rng(1).permutation(len(x))
    transposed = np.ascontiguousarray(x[order].T)
    assert row_sums(transposed).tobytes() == columns.tobytes()
    assert column_sums(transposed)[np.argsort(order)].tobytes() == rows.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (COLUMNS, 3), (5000, 1), (1, 9)])
def test_sums_of_float32_are_those_of_the_same_numbers_in_float64(shape, kind):
    with np.errstate(over="ignore", under="ignore"):
        x = numbers(kind, shape).astype(np.float32)
    same = x.astype(np.float64)
    assert column_sums(x).tobytes() == column_sums(same).tobytes()
    assert row_sums(x, MAGNITUDE).tobytes() == row_sums(same, MAGNITUDE).tobytes()
    squares = row_sums(x, square=True), row_sums(same, square=True)
    assert squares[0].tobytes() == squares[1].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_long_columns(kind):
    x = numbers(kind, (TILE // 24 + 7, 24))  # a tile is not a multiple of four rows
    found = column_sums(x)
    assert_close(found, [exact(column) for column in x.T])
    rows = row_sums(np.ascontiguousarray(x[::-1].T))
    assert rows.tobytes() == found.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_merged_states_are_those_of_all_numbers(kind):
    x = numbers(kind, (ROWS, COLUMNS))
    parts = []
    for rows in np.split(x, [1, 30, 30, 62]):
        parts.append(new_state(COLUMNS))
        add_columns(rows.reshape(-1), 0, COLUMNS, len(rows), -1, parts[-1])
    for order in (parts, parts[::-1]):
        state = new_state(COLUMNS)
        merge(np.array([part.T for part in order]), state)
        assert values(state).tobytes() == column_sums(x).tobytes()


def test_carries_keep_the_sums_of_many_numbers():
    x = np.full(2**20, 1 - 2.0**-53)
    state = new_state(1)
    for _ in range(20):
        add_rows(x, 0, x.size, x.size, -1, False, state)
    assert values(state)[0] == math.fsum([20 * 2.0**20, -20 * 2.0**-33])
    states = np.repeat(state.T[None], 1000, axis=0)
    merge(states, state)
    assert values(state)[0] == math.fsum([20020 * 2.0**20, -20020 * 2.0**-33])


@pytest.mark.parametrize("kind", KINDS)
def test_magnitudes_and_squares(kind):
    x = numbers(kind, (ROWS, COLUMNS))
    assert column_sums(x, MAGNITUDE).tobytes() == column_sums(np.abs(x)).tobytes()
    assert row_sums(x, MAGNITUDE).tobytes() == row_sums(np.abs(x)).tobytes()
    with np.errstate(over="ignore"):
        squares = x * x
    np.testing.assert_array_equal(row_sums(x, square=True), row_sums(squares))


def test_means_of_a_few_other_columns_compile_nothing():
    x = numbers("nan", (ROWS, COLUMNS))
    state = new_state(COLUMNS)
    add_columns(x.reshape(-1), 0, COLUMNS, ROWS, -1, state)
    means(state, ROWS)
    assert len(round_sums.signatures) == 1


@settings(max_examples=300)
@given(st.lists(FINITE, min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_any_finite_numbers_in_any_order(terms, random):
    x = np.array([terms])
    found = row_sums(x)
    # Digits below 2**-79 of the largest number are rounded.
    tolerance = len(terms) * 2.0**-80 * max(map(abs, terms))
    assert_close(found, [exact(terms)], tolerance)
    random.shuffle(terms)
    assert column_sums(np.array([terms]).T.copy()).tobytes() == found.tobytes()


@pytest.mark.parametrize("kind", ["zeros first", "triangle", "growing", "one row"])
def test_columns_with_larger_numbers_later_stay_in_the_kernel(kind, monkeypatch):
    x = np.random.default_rng(0).random((3000, 300)) - 0.5
    if kind == "triangle":
        x = np.tril(x)
    elif kind == "zeros first":
        x[:1500] = 0
    else:
        x[2000 : 2001 if kind == "one row" else None] *= 1e30
    expected = new_state(300)
    add_digits(expected, x, 0)
    monkeypatch.setattr("mpiapps.kernels.reproducible_sums.add_digits", None)
    state = new_state(300)
    add_columns(x.reshape(-1), 0, 300, 1000, -1, state)
    add_columns(x.reshape(-1), 300_000, 300, 2000, -1, state)
    np.testing.assert_array_equal(values(state), values(expected))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("columns", [1, 8, 9, TILE + 3])
def test_components_of_complex_numbers(kind, dtype, columns):
    rows = 7 if columns < TILE else 2
    with np.errstate(over="ignore"):
        x = numbers(kind, (rows, 2 * columns)).astype(dtype)
    for component in (0, 1):
        state = new_state(rows)
        place = component, 2 * columns, columns
        add_rows(x.reshape(-1), *place, -1, False, state, step=2)
        alone = np.ascontiguousarray(x[:, component::2])
        assert values(state).tobytes() == row_sums(alone).tobytes()
