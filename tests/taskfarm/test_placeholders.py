"""Shells expand a quoted value to exactly that text, and never execute it."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mpiapps.taskfarm.placeholders import Template

SHELLS = ["/bin/sh", "/bin/bash"]
THOROUGH = "MPIAPPS_FAULTS" in os.environ
many = settings(
    deadline=None, max_examples=3000 if THOROUGH else 120, derandomize=not THOROUGH
)

# Each would create a file, or end the command, if the shell interpreted it.
TRAPS = ["$(>canary)", "`>canary`", "';>canary;'", '";>canary;"', "\n>canary\n"]
TRAPS += [
    ";>canary;",
    "&>canary&",
    ")>canary;(",
    "\\",
    "'",
    '"',
    "\\'`>canary`\\'",
    "$x",
]
TRAPS += ["a=b", "if", "7", "a,b", "..", "#", "~", "*", "\\\n", " ", "", "$'\\n'", "-n"]
values = st.one_of(
    st.sampled_from(TRAPS),
    st.lists(st.sampled_from([*TRAPS, "x", "\t", "é", "\udcff", "!"]), max_size=4).map(
        "".join
    ),
)


def output(shell, command, directory):
    """Return the output of a command, and whether a value was executed."""
    ended = subprocess.run(
        [shell, "-c", os.fsencode(command)],
        cwd=directory,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={"PATH": "/nowhere"},
        timeout=20,
        check=False,
    )
    canary = Path(directory, "canary")
    executed = canary.exists()
    canary.unlink(missing_ok=True)
    return ended.stdout, executed


@st.composite
def words(draw, depth=2):
    """Draw a word of a command, and its parts: texts, or names of values."""
    kinds = ["plain", "single", "double", "joined", *(["new", "old"] if depth else [])]
    kind, name = draw(st.sampled_from(kinds)), draw(st.sampled_from("ab"))
    if kind == "plain":
        return f"{{{name}}}", [name]
    if kind == "single":
        return f"'$x \\ {{{name}}} \"'", ["$x \\ ", name, ' "']
    if kind == "double":
        return f'"\\$x \'{{{name}}}${{no}}"', ["$x '", name]
    if kind == "joined":
        first, second = draw(words(0)), draw(words(0))
        return first[0] + second[0], first[1] + second[1]
    text, parts = draw(words(depth - 1))
    inner = f'w={text}; printf %s. "$w"'  # assignments undergo no word splitting
    if kind == "old":
        inner = re.sub(r"([\\`$])", r"\\\1", inner)
    return f"`{inner}`" if kind == "old" else f'"$({inner})"', [*parts, "."]


@many
@given(st.lists(words(), min_size=1, max_size=3), values, values)
def test_each_word_expands_to_its_text(drawn, a, b):
    texts, parts_of_words = zip(*drawn, strict=True)
    command = "".join(f"w={text}; printf '<%s>' \"$w\"\n" for text in texts)
    filled = Template(command, ["a", "b"]).fill({"a": a, "b": b})
    expected = [
        "".join({"a": a, "b": b}.get(p, p) for p in parts) for parts in parts_of_words
    ]
    with tempfile.TemporaryDirectory() as directory:
        for shell in SHELLS:
            out, executed = output(shell, filled, directory)
            assert not executed
            assert out == b"".join(b"<%s>" % os.fsencode(text) for text in expected)


PIECES = [
    *"'\"\\$`() \n#>1=;&|x[{},",
    "{a}",
    "{b}",
    "$(",
    '"$(',
    "${",
    "$((",
    "))",
    " #",
]
PIECES += ["<<E", "\nE\n", "<<<", "echo ", "case a in a)", ";; esac", "$'", "$x", "\\`"]
PIECES += ['\\"']


@many
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12), values, values)
@example(["echo ", "\\", "\n", "#", "'", "{a}"], "\n>canary\n", "")
@example(["`", "\\", '"', "{a}", "\\", '"', "`"], ";>canary;", "")
@example(['"$(', "case a in a)", "{a}", ";; esac", ")", '"'], ";>canary;", "")
def test_no_value_is_executed_in_any_command(pieces, a, b):
    command = "".join(pieces)
    names = [name for name in "ab" if f"{{{name}}}" in command]
    try:
        filled = Template(command, names).fill({"a": a, "b": b})
    except ValueError:
        return
    with tempfile.TemporaryDirectory() as directory:
        for shell in SHELLS:
            assert not output(shell, filled, directory)[1], filled


@pytest.mark.parametrize(
    ("command", "value", "expected"),
    [
        ("printf %s {a}>out; cat_() { :; }; printf x", "2", "x"),
        ('x=1; printf %s "$x{a}"', "y", "1y"),
        ("x=1; printf %s $x{a}", "y", "1y"),
        ("printf %s `printf %s {a}`", "a\\b", "a\\b"),
        ("printf %s ${HOME:-no}{a}", "$y", "no$y"),
        ("printf %s $((1 + 2)){a}", "b", "3b"),
        ("printf %s {a} # it's", "z", "z"),
    ],
)
def test_common_contexts(tmp_path, command, value, expected):
    for shell in SHELLS:
        filled = Template(command, ["a"]).fill({"a": value})
        assert output(shell, filled, tmp_path)[0].decode() == expected
    assert not (tmp_path / "out").exists() or (tmp_path / "out").read_text() == "2"


@pytest.mark.parametrize("value", ["if", "a=b", "7", "x"])
def test_value_in_command_position_is_a_command_name(tmp_path, value):
    filled = Template("{a} y; printf %s after", ["a"]).fill({"a": value})
    for shell in SHELLS:
        assert output(shell, filled, tmp_path)[0] == b"after"


@pytest.mark.parametrize(
    ("command", "context"),
    [
        ("echo \\{a}", "an escape with a backslash"),
        ("echo ${a}", "a variable of the shell"),
        ("echo ${x:-{a}}", "the braces of a variable"),
        ("echo $(( {a} + 1 ))", "arithmetic"),
        ("(( {a} > 1 ))", "arithmetic"),
        ("cat <<E\n{a}\nE", "a here-document"),
        ("echo $'{a}'", "which sh does not have"),
        ("true # {a}", "a comment"),
        ('echo "$(case x in y) {a};; esac)"', 'a "$(...)" that contains case'),
    ],
)
def test_unsupported_contexts_are_errors(command, context):
    with pytest.raises(ValueError, match="cannot be quoted") as error:
        Template(command, ["a"])
    assert context in str(error.value)
    assert 'begin with a={a}; and use "$a"' in str(error.value)
