"""Options of the program that exclude each other."""

import pytest

from mpiapps.fileops.options import Options, check


@pytest.mark.parametrize(
    ("quote", "delimiter"), [(",", ""), ("\t", ""), (";", ";"), ('"', '"')]
)
def test_a_quote_is_no_delimiter(quote, delimiter):
    options = Options("describe", ("x",), quote=quote, delimiter=delimiter)
    with pytest.raises(ValueError, match="--quote"):
        check(options)
    check(Options("describe", ("x",), quote=quote, delimiter="|"))
