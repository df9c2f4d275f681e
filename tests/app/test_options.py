import argparse
import dataclasses
import itertools
from dataclasses import dataclass

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mpiapps.app import Program, Result, option
from mpiapps.app.options import add_options, from_namespace
from mpiapps.app.parser import Parser
from mpiapps.app.program import programs
from mpiapps.app.runner import CommonOptions, parse, program_parser
from mpiapps.base.launch_environment import LaunchEnvironment
from mpiapps.base.rank_list import check_ranks
from mpiapps.base.units import parse_interval
from mpiapps.fileops.choices import (
    parse_character,
    parse_factor,
    parse_fraction,
    parse_percentiles,
    parse_size,
)


def refused(text):
    raise argparse.ArgumentTypeError(f"{text} is refused")


@dataclass(frozen=True)
class Options:
    """All kinds of options."""

    samples: int = option(10, "how many", type="count", min=1, max=1000)
    memory: int = option(0, "how much", type="size")
    limit: int = option(60, "how long, 100 % sure", type="time")
    tolerance: float = option(1e-6, "how exact")
    method: str = option("one", "which", choices=("one", "two"))
    dry_run: bool = option(False, "do nothing")
    order: int = option(2, "plain integer")
    factor: float | None = option(None, "how wide", type=parse_factor)
    percentiles: tuple[float, ...] = option((2.5, 50.0), "where", type=refused)
    range: tuple[float, float] = option(
        (0.0, 100.0), "from, to", type=parse_interval, metavar="LOW:HIGH"
    )
    levels: tuple[int, ...] = option((1, 2), "how deep", nargs="+", type="count", min=1)


def check(options):
    if options.method == "two" and options.samples < 5:
        raise ValueError("--method two needs --samples 5 or more")


PROGRAM = Program("demo", "Show options.", Options, lambda *_: Result(), check)


ALONE = LaunchEnvironment()


def read(*argv, launch=ALONE):
    return parse(PROGRAM, argv, launch)[0]


def test_one_field_is_one_option():
    assert read() == Options()
    argv = "--samples 1e2 --memory 4GiB --limit 1h30m --tolerance 1e-3 --method two"
    assert read(*argv.split(), "--dry-run", "--order", "-3") == Options(
        100, 4 * 2**30, 5400, 1e-3, "two", True, -3
    )


@pytest.mark.parametrize(
    ("text", "value"), [("1e3", 1000), ("1_0", 10), ("2.5e1", 25), ("-3", -3)]
)
def test_whole_numbers_are_written_as_counts(text, value):
    assert read("--order", text).order == value


def test_a_value_that_names_another_option():
    @dataclass(frozen=True)
    class Passing:
        nodes: int = option(1, "how many")
        passed: tuple[str, ...] = option((), "options to pass", verbatim=True)

    parser = Parser()
    add_options(parser, Passing)
    words = ["--passed", "--nodes=2", "--nodes", "3", "--passed=-x"]
    values = from_namespace(parser.parse_intermixed(words), Passing)
    assert values == Passing(3, ("--nodes=2", "-x"))


@pytest.mark.parametrize(
    ("argv", "messages"),
    [
        ("--samples 0", ["--samples", "too small", "minimum is 1"]),
        ("--samples 1e4", ["too large", "maximum is 1000"]),
        ("--samples 1.5", ["--samples", "'1.5' is not a whole number"]),
        ("--samples -4", ["--samples", "'-4' is not a count"]),
        ("--samples", ["--samples", "expected one argument"]),
        ("--memory 4X", ["unknown unit 'x'", "GiB"][:1]),
        ("--limit 1:30", ["'1:30' is not a time", "1h30m"]),
        ("--tolerance much", ["'much' is not a number"]),
        ("--order 1.5", ["'1.5' is not a whole number"]),
        ("--method three", ["'three' is not one of one, two"]),
        ("-- --samples 3", ["--samples is after --", "remove the --"]),
        ("--sampels 3", ["unknown option --sampels", "did you mean --samples?"]),
        ("--sample=3", ["did you mean --samples?"]),
        ("--xyz", ["unknown argument --xyz", "--samples", "--json"]),
        ("extra", ["unknown argument extra", "--method"]),
        ("--method two --samples 3", ["--method two needs --samples 5"]),
    ],
)
def test_an_invalid_option_exits_with_2_and_a_suggestion(capsys, argv, messages):
    with pytest.raises(SystemExit) as ended:
        read(*argv.split())
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    assert len(err.splitlines()) == 2
    assert err.startswith("python -m mpiapps.demo: error: ")
    for message in messages:
        assert message in err


def test_help_lists_options_with_defaults(capsys):
    with pytest.raises(SystemExit) as ended:
        read("--help")
    assert ended.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--samples COUNT how many (default 10)" in text
    assert "--method one|two which (default one)" in text
    assert "100 % sure" in text
    assert "--factor FACTOR how wide --percentiles" in text  # absent
    assert "where (default 2.5,50)" in text  # its type is not called
    assert "from, to (default 0:100)" in text
    assert "how deep (default 1 2)" in text
    assert "checkpoint interval (default 1m)" in text
    assert "--progress auto|bar|log|off" in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seconds", {}),
        ("json", {"positional": True}),
        ("n", {"alias": "csv"}),
        ("home", {"short": "h"}),
    ],
)
def test_a_name_of_an_option_of_all_programs_is_refused(capsys, name, words):
    cls = dataclasses.make_dataclass(
        "Taken", [(name, str, option("", "text", **words))], frozen=True
    )
    with pytest.raises(SystemExit) as ended:
        parse(Program("demo", "Demo.", cls, print), [], LaunchEnvironment())
    assert ended.value.code == 2
    assert f"the field {name} of Taken defines" in capsys.readouterr().err


@pytest.mark.parametrize("argv", ["--help", "--samples 0"])
def test_only_rank_0_prints(capsys, argv):
    with pytest.raises(SystemExit):
        read(*argv.split(), launch=LaunchEnvironment(rank=1, size=2))
    assert capsys.readouterr() == ("", "")


def test_an_empty_choice_is_not_shown(capsys):
    @dataclass(frozen=True)
    class Choices:
        kind: str = option("", "which", choices=("", "one", "two"))

    parser = argparse.ArgumentParser()
    add_options(parser, Choices)
    assert "--kind one|two" in parser.format_help()
    with pytest.raises(SystemExit):
        parser.parse_args(["--kind", "three"])
    assert "is not one of one, two" in capsys.readouterr().err


def samples(field):
    """Return valid values of the option of `field`."""
    kind, nargs = field.metadata["type"], field.metadata["nargs"]
    if field.default is False:
        return []
    if field.metadata["choices"]:
        value = field.metadata["choices"][-1]
    elif kind in ("count", None) and isinstance(field.default, int | float):
        value = str(field.metadata["min"] or 3)
    else:
        character = "-" if field.name == "delimiter" else "'"
        texts = {"count": "3", "size": "4GiB", "time": "2h", parse_interval: "-5:-1"}
        texts |= {float: "0.5", parse_fraction: "0.5", parse_percentiles: "0,50"}
        texts |= {parse_size: "800x", parse_factor: "0.5", check_ranks: "0,2"}
        texts[parse_character] = character
        value = texts.get(kind, "-x y" if not field.metadata["positional"] else "name")
    return [value, value] if nargs in ("*", "+") else [value]


def command_line(program):
    """Return options with their values, and positional arguments, as groups."""
    options, positional = [], []
    for cls in (program.options, CommonOptions):
        for field in dataclasses.fields(cls):
            values = samples(field)
            name = "--" + field.name.replace("_", "-")
            if field.metadata["positional"]:
                positional += [[value] for value in values]
            else:
                options.append([name, *values])
    return options, positional


PROGRAMS = [program for program in programs().values() if program.name != "dask"]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
@given(data=st.data())
def test_options_and_positional_arguments_in_any_order(program, data):
    options, positional = command_line(program)
    options = data.draw(st.lists(st.sampled_from(options), unique_by=lambda o: o[0]))
    parser = program_parser(program, LaunchEnvironment())
    expected = parser.parse_intermixed(list(itertools.chain(*options, *positional)))
    indices = data.draw(
        st.lists(
            st.integers(0, len(options)),
            min_size=len(positional),
            max_size=len(positional),
        ).map(sorted)
    )
    groups = list(options)
    for index, argument in reversed(list(zip(indices, positional, strict=True))):
        groups.insert(index, argument)
    # A positional argument after an option with a list of values would be one of them.
    lists = [f"--{f.name}" for f in dataclasses.fields(program.options)
             if f.metadata["nargs"] == "+"]  # fmt: skip
    for first, second in itertools.pairwise(groups):
        assume(not (first[0] in lists and len(second) == 1 and second in positional))
    assert parser.parse_intermixed(list(itertools.chain(*groups))) == expected


def test_arguments_after_a_script_belong_to_it():
    parser = program_parser(programs()["dask"], LaunchEnvironment())
    argv = ["--memory", "4G", "s.py", "--memory", "5", "--", "-x"]
    values = parser.parse_intermixed(argv)
    assert (values.memory, values.script) == (4 * 2**30, "s.py")
    assert values.arguments == argv[3:]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--method --dry-run", "--method: expected one argument"),
        ("--order -- 3", "--order: expected one argument"),
        ("3 4", "unknown argument 3"),
    ],
)
def test_the_next_option_is_not_a_missing_value(capsys, argv, message):
    with pytest.raises(SystemExit):
        read(*argv.split())
    assert message in capsys.readouterr().err
