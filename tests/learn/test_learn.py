"""Exercises: model solutions pass; starting files and wrong answers get a hint."""

import fnmatch
import json
import os
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import pytest

from mpiapps.launch.mpiexec import Mpiexec
from mpiapps.learn.catalogue import START, catalogue, find, task
from mpiapps.learn.exercise import Wrong
from mpiapps.learn.runner import run_jobs
from tests.commands import ROOT, bin_directory, clean_environment, launcher, marked, run
from tests.learn.wrong_answers import SCRIPTS, STUCK, WRONG

TEACHING = ROOT / "docs" / "teaching"
NUMBERS = list(catalogue())
STOPS = (4, 5)  # starting files that do not end on all ranks
LIMIT = 150.0


def solution(number):
    """Return the path of a model solution; that of pi is the first step of pi.md."""
    pi = number == find("pi")[0]
    return TEACHING / (
        "pi_1_gather.py" if pi else f"exercises/{catalogue()[number].file}"
    )


def changed(number, changes):
    text = solution(number).read_text()
    for old, new in changes.items():
        assert old in text, f"exercise {number}: no {old!r} in its solution"
        text = text.replace(old, new)
    return text


def in_one_start(paths):
    """Run (exercise, path) pairs in one start of mpiexec; return what is wrong."""
    exercises = [catalogue()[number] for number, _ in paths]
    jobs = [e.jobs(str(path)) for e, (_, path) in zip(exercises, paths, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(clean_environment()):
            patch.delenv(name)
        flat = [job for each in jobs for job in each]
        runs, failure = run_jobs(flat, LIMIT, Mpiexec(*json.loads(launcher("openmpi"))))
    assert failure is None, f"{failure.run}: {failure.what}"
    verdicts = []
    for exercise, each, (_, path) in zip(exercises, jobs, paths, strict=True):
        own, runs = runs[: len(each)], runs[len(each) :]
        try:
            exercise.examine(own)
            exercise.examine_text(path.read_text())
        except Wrong as wrong:
            verdicts.append(f"{wrong.what}\n{wrong.hint}")
        else:
            verdicts.append("")
    return verdicts


def test_every_model_solution_passes():
    paths = [(number, solution(number)) for number in NUMBERS]
    verdicts = in_one_start(paths)
    assert dict(zip(NUMBERS, verdicts, strict=True)) == dict.fromkeys(NUMBERS, "")


STARTING = {
    1: "comm.rank, and the number of ranks, comm.size",
    2: "the ring closes",
    3: "comm.gather",
    6: "first n % size ranks",
    7: "is not a + (b + c)",
    8: "the ranks share the darts",
    9: "one seed",
    10: "before each step, send u[1]",
    11: "MPI.ANY_SOURCE",
    12: "what remains|grows with the ranks",
    13: 'os.environ["OMP_NUM_THREADS"]',
    14: "a directive is a line",
}


def test_every_starting_file_fails_with_a_hint():
    paths = [(n, START / catalogue()[n].file) for n in NUMBERS if n not in STOPS]
    for (number, _), verdict in zip(paths, in_one_start(paths), strict=True):
        words = STARTING[number].split("|")
        assert any(word in verdict for word in words), (number, verdict)


def test_wrong_answers_get_the_right_hint(tmp_path):
    paths = []
    for row, (number, changes, _) in enumerate(WRONG):
        path = tmp_path / f"{row}.py"
        path.write_text(changed(number, changes))
        paths.append((number, path))
    verdicts = in_one_start(paths)
    faults = [
        (number, changes, hint, verdict)
        for (number, changes, hint), verdict in zip(WRONG, verdicts, strict=True)
        if hint not in verdict
    ]
    assert faults == []


@pytest.mark.parametrize(("changes", "hint"), SCRIPTS, ids=lambda each: str(each)[:30])
def test_wrong_job_scripts_get_the_right_hint(changes, hint):
    exercise = find("job")[1]
    with pytest.raises(Wrong) as caught:
        exercise.examine_text(changed(14, changes))
    assert hint in f"{caught.value.what} {caught.value.hint}"


def test_each_exercise_has_two_wrong_answers_at_least():
    rows = [number for number, *_ in (*WRONG, *STUCK)] + [14] * len(SCRIPTS)
    assert all(rows.count(number) >= 2 for number in NUMBERS)


def learn(mpi, cwd, *words):
    python = str(bin_directory(mpi) / "python")
    return run([python, "-m", "mpiapps", "learn", *words], cwd, PYTHONPATH=str(ROOT))


@pytest.mark.parametrize("row", range(len(STUCK)))
def test_answers_that_do_not_end_are_explained(tmp_path, row):
    number, changes, words = STUCK[row]
    (tmp_path / "a.py").write_text(changed(number, changes))
    limit = "10s" if "time limit" in words else "2m"
    ended = learn("openmpi", tmp_path, str(number), "--check", "a.py", "--limit", limit)
    assert ended.code == 4, ended.err
    assert [word for word in words if word not in ended.out] == [], ended.out


@pytest.mark.parametrize("mpi", ["openmpi", "mpich", "impi"])
def test_a_deadlock_is_explained_and_then_solved_on_every_mpi(tmp_path, mpi):
    assert learn(mpi, tmp_path, "deadlock").code == 0
    ended = learn(mpi, tmp_path, "4", "--check")
    assert ended.code == 4, ended.err
    for rank, other in ((0, 1), (1, 0)):
        line = f"rank {rank} waits in line 21: comm.Send(numbers, dest=right)"
        assert f"{line}   (to rank {other})" in ended.out
    assert "none of them receives" in ended.out
    ended = learn(mpi, tmp_path, "--check", "4", str(solution(4)))
    assert ended.code == 0, ended.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_ranks_of_a_check(tmp_path, number):
    (tmp_path / "a.py").write_text("open('started', 'w')\nwhile True:\n    pass\n")
    mark = os.urandom(8).hex()
    check = subprocess.Popen(
        [bin_directory("openmpi") / "mpiapps", "learn", "3", "--check", "a.py"],
        cwd=tmp_path,
        env=clean_environment() | {"TEST_MARK": mark},
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        assert check.poll() is None
        time.sleep(0.1)
    check.send_signal(number)
    assert check.wait(60) == 128 + number
    assert marked(mark) == {}


def test_the_list_shows_what_is_done_here(tmp_path):
    ended = learn("openmpi", tmp_path, "5")
    assert ended.code == 0, ended.err
    assert task(catalogue()[5]) in ended.out
    own = tmp_path / "05_scatter.py"
    ended = learn("openmpi", tmp_path, "scatter", "--check")
    assert ended.code == 4
    assert "rank 1 ended with an error, line 19" in ended.out
    assert "done" not in learn("openmpi", tmp_path).out
    own.write_text(solution(5).read_text())
    assert learn("openmpi", tmp_path, "5").code == 2  # it is not overwritten
    assert own.read_text() == solution(5).read_text()
    ended = learn("openmpi", tmp_path, "5", "--check")
    assert (ended.code, ended.out.count("mpiapps learn 6")) == (0, 1)
    lines = learn("openmpi", tmp_path).out.splitlines()
    assert [line for line in lines if "done" in line] == [lines[4]]
    own.write_text(own.read_text() + "\n")
    assert "changed" in learn("openmpi", tmp_path).out.splitlines()[4]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["99"], 2, "give a number from 1 to 14"),
        (["scater"], 2, "did you mean scatter?"),
        (["--check"], 2, "--check needs an exercise"),
        (["5", "--check"], 2, "mpiapps learn 5 copies the starting file"),
        (["5", "other.py"], 2, "a file is for --check"),
        (["5", "--check", "/"], 74, "cannot read /: Is a directory"),
        (["5", "--check", "latin"], 65, "is not a text in UTF-8"),
        (["5", "--check", "--limit", "0"], 2, "too short"),
        (["5", "--check", "--limit", "1x"], 2, "1x"),
    ],
)
def test_bad_input_ends_with_a_clear_message(tmp_path, words, code, message):
    (tmp_path / "latin").write_bytes(b"# \xe9\n")
    ended = learn("openmpi", tmp_path, *words)
    assert (ended.code, message in ended.err) == (code, True), ended.err


def test_a_damaged_list_of_what_is_done_is_ignored(tmp_path):
    for content in ("{", "[]", '{"a": 1}'):
        (tmp_path / ".mpiapps-learn.json").write_text(content)
        ended = learn("openmpi", tmp_path)
        assert (ended.code, "is ignored" in ended.err) == (0, True)
        assert ended.out.count("\n") == len(NUMBERS)


def test_a_wheel_has_every_file_of_the_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"][
        "setuptools"
    ]
    patterns = settings["package-data"]["mpiapps"]
    package = ROOT / "mpiapps"
    modules = {
        p for init in package.rglob("__init__.py") for p in init.parent.glob("*.py")
    }
    data = {
        p for p in package.rglob("*") if p.is_file() and p.suffix != ".pyc"
    } - modules
    names = [str(path.relative_to(package)) for path in data]
    assert [n for n in names if not any(fnmatch.fnmatch(n, p) for p in patterns)] == []
    assert all((START / each.file).exists() for each in catalogue().values())
    assert {Path(n).name for n in names if n.startswith("learn/start/")} == {
        each.file for each in catalogue().values()
    }
