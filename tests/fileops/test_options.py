"""Options of the program that exclude each other, or have no effect."""

import pytest

from mpiapps.fileops.choices import parse_percentiles
from mpiapps.fileops.options import Options, check


@pytest.mark.parametrize(
    ("quote", "delimiter"), [(",", ""), ("\t", ""), (";", ";"), ('"', '"')]
)
def test_a_quote_is_no_delimiter(quote, delimiter):
    options = Options("describe", ("x",), quote=quote, delimiter=delimiter)
    with pytest.raises(ValueError, match="--quote"):
        check(options)
    check(Options("describe", ("x",), quote=quote, delimiter="|"))


@pytest.mark.parametrize("more", [{}, {"top": 3}, {"only": ("lines",)}])
def test_strict_utf8_needs_text_in_utf8(more):
    options = Options("count", ("x",), strict_utf8=True, encoding="bytes", **more)
    with pytest.raises(ValueError, match="--strict-utf8 has no effect with --enc"):
        check(options)
    check(Options("count", ("x",), strict_utf8=True, **more))
    check(Options("count", ("x",), encoding="bytes", **more))


def test_percentiles_are_compared_in_all_digits():
    assert parse_percentiles("33.33331,33.33332") == (33.33331, 33.33332)
    with pytest.raises(ValueError, match="the same percentile twice"):
        parse_percentiles("25,50,25.0")
