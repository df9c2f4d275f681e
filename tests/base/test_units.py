import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.base.units import (
    format_seconds,
    format_size,
    format_time,
    parse_count,
    parse_interval,
    parse_size,
    parse_time,
    parse_walltime,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("1000", 1000),
        ("1e9", 10**9),
        ("2.5e3", 2500),
        ("1_000", 1000),
        ("1E2", 100),
        (" 7 ", 7),
        ("9007199254740993", 9007199254740993),
        ("1.0", 1),
        ("12345678901234567e3", 12345678901234567000),
    ],
)
def test_counts_are_exact(text, value):
    assert parse_count(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "-1", "1.5", "1e-1", "ten", "1e", "1e99999", "0x10", "1 000", "5k", "¹"],
)
def test_invalid_counts_are_errors_with_their_text(text):
    with pytest.raises(ValueError, match="count") as refused:
        parse_count(text)
    assert repr(text) in str(refused.value)


@given(st.integers(min_value=0, max_value=10**30))
def test_counts_round_trip(number):
    assert parse_count(str(number)) == number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4GiB", 4 * 2**30),
        ("4 gib", 4 * 2**30),
        ("1.5kB", 1500),
        ("512B", 512),
        ("4G", 4 * 2**30),
        ("4000m", 4000 * 2**20),
        ("0", 0),
        ("2TB", 2 * 10**12),
        ("1PiB", 2**50),
    ],
)
def test_sizes_have_binary_and_decimal_units(text, value):
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["4X", "-1MB", "0.3B", "GiB", "4GB/s", ""])
def test_invalid_sizes_are_errors(text):
    with pytest.raises(ValueError, match=r"size|unit|bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90", 90),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1d 2h", 93600),
        ("1:30:00", 5400),
        ("2-00:00:01", 172801),
        ("45s", 45),
        ("0", 0),
    ],
)
def test_times(text, value):
    assert parse_time(text) == value


@pytest.mark.parametrize("text", ["0", "45s", "1m", "1m30s", "4h", "2d1s", "1d2h3m4s"])
def test_times_are_written_as_they_are_read(text):
    assert format_time(parse_time(text)) == text


@pytest.mark.parametrize("text", ["1:30", "30m1h", "1h1h", "h", "", "-5", "1.5h", "1w"])
def test_ambiguous_times_are_errors(text):
    with pytest.raises(ValueError, match="is not a time; write"):
        parse_time(text)


def test_format_size_and_seconds():
    assert format_size(1536) == "1.5 KiB"
    assert format_size(2**60) == "1024 PiB"
    assert format_seconds(0.00025) == "0.25 ms"
    assert format_seconds(12.34) == "12.3 s"
    assert format_seconds(600) == "10 min"
    assert format_seconds(3720) == "1h02m"


def test_intervals():
    assert parse_interval("-1:2.5e3") == (-1.0, 2500.0)
    for text in ("", "1", "2:1", "1:1", "a:b", "nan:1", "0:inf", "1:2:3"):
        with pytest.raises(ValueError, match="LOW below HIGH"):
            parse_interval(text)


@pytest.mark.parametrize("text", ["4", "4096", " 1e3 "])
def test_size_without_unit_is_an_error_with_its_meanings(text):
    with pytest.raises(
        ValueError, match=r"has no unit: write .*B for bytes, .*G for GiB"
    ):
        parse_size(text)


def test_walltime_without_unit_is_an_error_with_its_meanings():
    assert parse_walltime("0") == 0
    assert parse_walltime("1h30m") == parse_walltime("1:30:00") == 5400
    with pytest.raises(ValueError, match="write 90m for minutes or 90s for seconds"):
        parse_walltime("90")
