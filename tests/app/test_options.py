from dataclasses import dataclass

import pytest

from mpiapps.app import Program, Result, option
from mpiapps.app.runner import parse
from mpiapps.base.launcher import Launch


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
