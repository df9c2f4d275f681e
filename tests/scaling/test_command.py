"""`mpiapps scaling` with real processes: results, resumption, failures, signals."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from mpiapps.base.errors import InputError, UsageError
from mpiapps.cli import main
from mpiapps.scaling.comparison import compare
from mpiapps.scaling.history import opened
from mpiapps.scaling.study import Case
from tests.commands import bin_directory, clean_environment, marked, run
from tests.scaling.studies import measured, study

MPIAPPS = str(bin_directory("openmpi") / "mpiapps")
AMDAHL = ["--oversubscribe", "--format", "json", "--", "--work", "0.4"]


def scaling(cwd, *words):
    return run([MPIAPPS, "scaling", *words], cwd=cwd)


def test_a_study_is_measured_resumed_and_extended(tmp_path):
    words = [
        "amdahl",
        "--ranks",
        "1,2",
        "--repeats",
        "1",
        *AMDAHL,
        "--imbalance",
        "0.5",
    ]
    first = scaling(tmp_path, *words)
    assert first.code == 0, first.err
    assert "run 2 of 2" in first.err
    values = json.loads(first.out)
    one, two = values["rows"]
    # 0.02 s + 0.19 s x 1.5 on the slowest rank; a busy host only adds to it.
    assert two["seconds"]["value"] > 0.305
    assert one["seconds"]["value"] > 0.4
    # Rank 0 computes 0.305 s, rank 1 0.095 s: their mean is 0.66 of the longest.
    assert two["pop"]["load_balance"] == pytest.approx(0.656, abs=0.1)
    assert two["memory"] > 2**23
    assert two["core_hours"] > 2 * two["seconds"]["value"] / 3600

    again = scaling(tmp_path, *words)
    assert again.code == 0, again.err
    assert "run" not in again.err
    assert json.loads(again.out)["measurements"] == values["measurements"]

    # As after a kill in the middle of a write: the torn record is measured again.
    journal = tmp_path / "amdahl.scaling" / "journal"
    journal.write_bytes(journal.read_bytes()[:-20])
    torn = scaling(tmp_path, *words)
    assert torn.code == 0, torn.err
    assert "run 1 of 1" in torn.err

    other = scaling(tmp_path, *words, "--serial", "0.5")
    assert other.code == InputError.exit_code
    assert "give another directory" in other.err


def test_copies_of_a_command_run_at_the_same_time(tmp_path):
    ended = scaling(
        tmp_path, "sleep", "--kind", "throughput", "--ranks", "1,2", "--repeats", "1",
        "--oversubscribe", "--format", "json", "--", "1",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    one, two = json.loads(ended.out)["rows"]
    assert (two["copies"], two["ranks"]) == (2, 1)
    assert two["capacity"]["value"] > 1.2  # 1 if one ran after the other
    assert one["pop"] is None
    assert one["memory"] > 2**18


def test_a_case_that_fails_is_reported_and_the_others_are_kept(tmp_path):
    script = tmp_path / "fails.py"
    script.write_text(
        "import os\n"
        "size = int(os.environ['OMPI_COMM_WORLD_SIZE'])\n"
        "print('size', size, 'threads', os.environ['OMP_NUM_THREADS'])\n"
        "raise SystemExit(size == 2)\n"
    )
    words = ["fails.py", "--ranks", "1,2", "--repeats", "2", "--oversubscribe",
             "--threads", "3", "--format", "json"]  # fmt: skip
    ended = scaling(tmp_path, *words)
    assert ended.code == 3
    assert "2 ranks x 3 threads: exit code 1" in ended.err
    assert "size 2 threads 3" in ended.err
    rows = json.loads(ended.out)["rows"]
    assert [(row["ranks"], row["threads"], row["runs"]) for row in rows] == [(1, 3, 2)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_running_program(tmp_path, number):
    value = os.urandom(8).hex()
    process = subprocess.Popen(
        [MPIAPPS, "scaling", "sleep", "--ranks", "1", "--", "300"],
        cwd=tmp_path,
        env=clean_environment() | {"TEST_MARK": value},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not any(c.endswith(b"sleep\x00300\0") for c in marked(value).values()):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    assert process.wait(60) == 128 + number
    deadline = time.monotonic() + 20
    while marked(value) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert marked(value) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pi", "--ranks", "4096"], "--oversubscribe"),
        (["pi", "--kind", "weak"], "--weak NAME"),
        (["pi", "--weak", "samples", "--kind", "throughput"], "omit --weak"),
        (["pi", "--weak", "sample"], "give the value for one core"),
        (["pi", "--plot", "a.jpg"], r"\.png, \.svg or \.pdf"),
        (["no-such-program"], "not a program"),
        (["none.py"], "not a file"),
        (["true", "--region", "kernel"], "no record"),
        (["pi", "--virtual", "--ranks", "1"], "no model"),
        (["amdahl", "--virtual"], "--ranks 1,2,4"),
        (["amdahl", "--virtual", "--ranks", "1", "--threads", "2"], "omit --threads"),
        (
            ["amdahl", "--virtual", "--nodes", "1", "--scheduler", "slurm"],
            "omit --site",
        ),
        (["farm", "--ranks", "1", "--", "-"], "one input for all"),
    ],
)
def test_what_cannot_be_studied_is_an_error(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = run_in_process(words)
    assert values[0] == 2
    assert re.search(message, values[1])
    assert list(tmp_path.iterdir()) == []


def run_in_process(words):
    """Return exit code and error of a command that starts no process."""
    from argparse import Namespace

    from mpiapps.app.parser import Parser
    from mpiapps.scaling.command import scaling
    from mpiapps.scaling.options import add_command

    parser = Parser(prog="mpiapps")
    commands = parser.add_subparsers(dest="command")
    add_command(commands)
    n = words.index("--") if "--" in words else len(words)
    values = parser.parse_args(["scaling", *words[:n]], Namespace())
    with pytest.raises(UsageError) as caught:
        scaling(values, words[n + 1 :])
    return caught.value.exit_code, str(caught.value)


def test_a_study_in_virtual_time_finds_the_serial_fraction(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = ["scaling", "amdahl", "--virtual", "--ranks", "1,4,16,64,256",
             "--predict", "4096", "--format", "json", "--",
             "--serial", "0.05", "--noise", "0.01"]  # fmt: skip
    assert main(words) == 0
    first = capsys.readouterr()
    values = json.loads(first.out)
    assert values["series"].endswith("in virtual time")
    assert [row["ranks"] for row in values["rows"]] == [1, 4, 16, 64, 256]
    (amdahl,) = [m for m in values["models"] if m["model"] == "Amdahl"]
    assert 0.045 < amdahl["parameters"]["serial fraction"]["value"] < 0.055
    predicted = values["predictions"]["4096"]
    assert predicted["low"] <= 0.05 + 0.95 / 4096 <= predicted["high"]
    assert main(words) == 0
    again = capsys.readouterr()
    assert again.out == first.out
    assert "run" not in again.err


def test_options_of_the_program_are_checked_before_any_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["scaling", "pi", "--ranks", "1", "--", "--sample", "1"])
    assert caught.value.code == 2
    with pytest.raises(SystemExit) as caught:
        main(["scaling", "pi", "--samples", "1"])
    assert caught.value.code == 2
    assert list(tmp_path.iterdir()) == []


def test_another_commit_is_kept_apart(tmp_path):
    one = study(counts=(1, 2))
    with opened(tmp_path, one, "old", append=False) as history:
        for k in range(2):
            history.add(measured(Case(), 2.0, k, series="old"))
    with (
        pytest.raises(UsageError, match="--append"),
        opened(tmp_path, one, "new", append=False),
    ):
        pass
    with opened(tmp_path, one, "new", append=True) as history:
        history.add(measured(Case(), 1.0, series="new"))
    with opened(tmp_path, one, "new", append=False) as history:
        assert [m.seconds for m in history.of("old")] == [2.0, 2.0]
        assert [m.seconds for m in history.of("new")] == [1.0]
        text = compare(one, history, ["old"], "new")
    assert "1 rank: 2 [2, 2] times the time now" in text


def test_a_study_may_gain_cases_and_repeats(tmp_path):
    with opened(tmp_path, study(counts=(1, 2)), "a", append=False) as history:
        history.add(measured(Case(), 1.0, series="a"))
    larger = study(counts=(1, 2, 4), repeats=9)
    with opened(tmp_path, larger, "a", append=False) as history:
        assert len(history.of("a")) == 1
