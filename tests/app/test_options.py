import argparse
import dataclasses
import itertools
from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mpiapps.app import Program, Result, option
from mpiapps.app.options import add_options
from mpiapps.app.program import programs
from mpiapps.app.runner import Common, parse, program_parser
from mpiapps.base.launcher import Launch
from mpiapps.base.units import parse_interval
from mpiapps.filework.choices import parse_character


@dataclass(frozen=True)
class Options:
    """All kinds of options."""

    samples: int = option(10, "how many", parse="count", least=1, most=1000)
    memory: int = option(0, "how much", parse="size")
    limit: int = option(60, "how long, 100 % sure", parse="time")
    tolerance: float = option(1e-6, "how exact")
    method: str = option("one", "which", choices=("one", "two"))
    dry_run: bool = option(False, "do nothing")
    order: int = option(2, "plain integer")


def check(options):
    if options.method == "two" and options.samples < 5:
        raise ValueError("--method two needs --samples 5 or more")


PROGRAM = Program("demo", "Show options.", Options, lambda *_: Result(), check)


ALONE = Launch()


def read(*argv, launch=ALONE):
    return parse(PROGRAM, argv, launch)[0]


def test_one_field_is_one_option():
    assert read() == Options()
    argv = "--samples 1e2 --memory 4GiB --limit 1h30m --tolerance 1e-3 --method two"
    assert read(*argv.split(), "--dry-run", "--order", "-3") == Options(
        100, 4 * 2**30, 5400, 1e-3, "two", True, -3
    )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--samples 0", ["--samples", "too small", "least is 1"]),
        ("--samples 1e4", ["too large", "most is 1000"]),
        ("--samples 1.5", ["--samples", "'1.5' is not a whole number"]),
        ("--samples -4", ["--samples", "'-4' is not a count"]),
        ("--samples", ["--samples", "expected one argument"]),
        ("--memory 4X", ["unknown unit 'x'", "GiB"][:1]),
        ("--limit 1:30", ["'1:30' is not a time", "1h30m"]),
        ("--tolerance much", ["'much' is not a number"]),
        ("--order 1.5", ["'1.5' is not a whole number"]),
        ("--method three", ["'three' is not one of one, two"]),
        ("--sampels 3", ["unknown option --sampels", "did you mean --samples?"]),
        ("--sample=3", ["did you mean --samples?"]),
        ("--xyz", ["unknown argument --xyz", "--samples", "--json"]),
        ("extra", ["unknown argument extra", "--method"]),
        ("--method two --samples 3", ["--method two needs --samples 5"]),
    ],
)
def test_a_wrong_option_ends_in_2_and_names_the_right_ones(capsys, argv, words):
    with pytest.raises(SystemExit) as ended:
        read(*argv.split())
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    assert len(err.splitlines()) == 2
    assert err.startswith("python -m mpiapps.demo: error: ")
    for word in words:
        assert word in err


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as ended:
        read("--help")
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--samples COUNT how many (default 10)" in text
    assert "--method one|two which (default one)" in text
    assert "100 % sure" in text
    assert "--progress auto|bar|log|off" in text


@pytest.mark.parametrize("argv", ["--help", "--samples 0"])
def test_only_the_first_rank_speaks(capsys, argv):
    with pytest.raises(SystemExit):
        read(*argv.split(), launch=Launch(rank=1, size=2))
    assert capsys.readouterr() == ("", "")


def test_a_choice_that_is_empty_is_not_shown(capsys):
    @dataclass(frozen=True)
    class Chosen:
        kind: str = option("", "which", choices=("", "one", "two"))

    parser = argparse.ArgumentParser()
    add_options(parser, Chosen)
    assert "--kind one|two" in parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["--kind", "three"])
    assert "is not one of one, two" in capsys.readouterr().err


def samples(field):
    """Return words that give the option or operand of `field` a value of its kind."""
    kind, several = field.metadata["parse"], field.metadata["several"]
    if field.default is False:
        return []
    if field.metadata["choices"]:
        word = field.metadata["choices"][-1]
    elif kind in ("count", None) and isinstance(field.default, int | float):
        word = str(field.metadata["least"] or 3)
    else:
        character = "-" if field.name == "delimiter" else "'"
        texts = {"count": "3", "size": "4GiB", "time": "2h", parse_interval: "-5:-1"}
        texts[parse_character] = character
        word = texts.get(kind, "-x y" if not field.metadata["positional"] else "name")
    return [word, word] if several in ("*", "+") else [word]


def command_line(program):
    """Return pieces that may stand in any order: options with values, and operands."""
    options, operands = [], []
    for cls in (program.options, Common):
        for field in dataclasses.fields(cls):
            words = samples(field)
            name = "--" + field.name.replace("_", "-")
            if field.metadata["positional"]:
                operands += [[word] for word in words]
            else:
                options.append([name, *words])
    return options, operands


PLAIN = [each for name, each in programs().items() if name != "dask"]


@pytest.mark.parametrize("program", PLAIN, ids=lambda program: program.name)
@given(data=st.data())
def test_options_and_operands_come_in_any_order(program, data):
    options, operands = command_line(program)
    options = data.draw(st.lists(st.sampled_from(options), unique_by=lambda o: o[0]))
    parser = program_parser(program, Launch())
    expected = parser.parse_intermixed(list(itertools.chain(*options, *operands)))
    where = data.draw(
        st.lists(
            st.integers(0, len(options)),
            min_size=len(operands),
            max_size=len(operands),
        ).map(sorted)
    )
    pieces = list(options)
    for place, operand in reversed(list(zip(where, operands, strict=True))):
        pieces.insert(place, operand)
    # An operand behind a list of values would be one of them.
    lists = [f"--{f.name}" for f in dataclasses.fields(program.options)
             if f.metadata["several"] == "+"]  # fmt: skip
    for first, second in itertools.pairwise(pieces):
        assume(not (first[0] in lists and len(second) == 1 and second in operands))
    assert parser.parse_intermixed(list(itertools.chain(*pieces))) == expected


def test_what_follows_a_script_is_its_own():
    parser = program_parser(programs()["dask"], Launch())
    words = ["--memory", "4G", "s.py", "--memory", "5", "--", "-x"]
    values = parser.parse_intermixed(words)
    assert (values.memory, values.script) == (4 * 2**30, "s.py")
    assert values.arguments == words[3:]


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--method --dry-run", "--method: expected one argument"),
        ("--order -- 3", "--order: expected one argument"),
        ("3 4", "unknown argument 3"),
    ],
)
def test_a_value_that_is_missing_is_not_the_next_option(capsys, argv, words):
    with pytest.raises(SystemExit):
        read(*argv.split())
    assert words in capsys.readouterr().err
