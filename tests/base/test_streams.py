"""Texts in messages: one short line each, whatever they contain."""

import ast

import pytest

from mpiapps.base.streams import abbreviated, write_out


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("echo \x1b[1m\n", r"echo \x1b[1m\n"),
        (r"echo \n", r"echo \\n"),  # not a newline
        ("\u2028\udcff\u00e9", r"\u2028\xff" "\u00e9"),
        ("\ud800", r"\ud800"),
        ("say 'a' \"b\"", "say 'a' \"b\""),
        ("", ""),
    ],
)
def test_what_cannot_be_printed_is_escaped(text, line):
    assert abbreviated(text) == line


@pytest.mark.parametrize(
    "text", ["a", "it's", 'a "b"', 'it\'s "b"', "\\'", "\n\\n", "\x1b\u2028", ""]
)
def test_a_quoted_text_is_as_by_repr(text):
    assert abbreviated(text, quoted=True) == repr(text)
    assert ast.literal_eval(abbreviated(text, quoted=True)) == text


def test_a_text_is_cut_after_it_is_escaped_and_not_within_an_escape():
    assert abbreviated("x" * 200) == "x" * 200
    assert abbreviated("x" * 201) == "x" * 197 + "..."
    assert abbreviated("\u2028" * 34) == r"\u2028" * 32 + "..."
    assert abbreviated("\\" * 100) == "\\" * 200
    assert abbreviated("'" * 201, quoted=True) == '"' + "'" * 197 + '..."'


def test_bytes_are_written_unchanged(capfdbinary):
    write_out("a\n")
    write_out(b"\xff\r\n\0")
    assert capfdbinary.readouterr().out == b"a\n\xff\r\n\0"
