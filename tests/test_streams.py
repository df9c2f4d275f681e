"""Standard output and error that are full, closed or gone: files are there first."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.launch import LIMIT, MPIS, ROOT, clean_environment, folder

FULL = Path("/dev/full")
PI = ["-m", "mpiapps.pi", "--samples", "1e4"]


def closed(number):
    """Return what closes a stream in the child, as the shell's ``>&-`` does."""
    return {"preexec_fn": lambda: os.close(number)}


def gone():
    """Return the writing end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how):
    return subprocess.run(
        words,
        stdout=stdout,
        stderr=stderr,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=LIMIT,
        cwd=ROOT,
        check=False,
        env=clean_environment(**how.pop("variables", {})),
        **how,
    )


def with_output(kind, words, **how):
    """Run `words` with a standard output of this kind."""
    if kind == "full":
        with FULL.open("w") as full:
            return start(words, full, **how)
    if kind == "gone":
        writer = gone()
        try:
            return start(words, writer, **how)
        finally:
            os.close(writer)
    return start(words, **closed(1), **how)


KINDS = ["full", "gone", "closed"]


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_in_the_files_before_anything_is_printed(kind, tmp_path):
    files = {name: tmp_path / name for name in ("json", "csv", "record")}
    words = ["--json", str(files["json"]), "--csv", str(files["csv"])]
    variables = {"MPIAPPS_RECORD": str(files["record"])}
    python = str(folder("mpich") / "python")
    ended = with_output(kind, [python, *PI, *words], variables=variables)
    assert ended.returncode == 74, ended.stderr
    assert ended.stderr.count("cannot write to standard output") == 1
    assert "Traceback" not in ended.stderr
    assert json.loads(files["json"].read_text())["finished"] is True
    assert json.loads(files["record"].read_text())["values"]["samples"] == 10000
    assert len(files["csv"].read_text().splitlines()) == 2


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("kind", KINDS)
def test_results_are_in_the_files_whatever_becomes_of_mpiexec(kind, mpi, tmp_path):
    """What ranks print goes through mpiexec, which may end of it in its own way."""
    command = [str(folder(mpi) / "python"), "scripts/on_ranks.py", "2"]
    path = tmp_path / "r.json"
    with_output(kind, [*command, *PI, "--json", str(path)])
    assert json.loads(path.read_text())["finished"] is True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "words",
    [["list"], ["--help"], ["run", "pi", "--help"], ["lint", "jobs/slurm/pi.sh"],
     ["render", "pi", "--scheduler", "slurm", "--mpi", "openmpi"]],
    ids=" ".join,
)  # fmt: skip
def test_commands_that_cannot_print_end_with_74(kind, words):
    ended = with_output(kind, [sys.executable, "-m", "mpiapps", *words])
    assert ended.returncode == 74, ended.stderr
    assert ended.stderr.count("cannot write to standard output") == 1
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([*PI, "--progress", "bar", "--verbose"], 0),
        ([*PI, "--json", "/no/where"], 74),
        (["-m", "mpiapps.pi", "--smaples", "3"], 2),
        (["-m", "mpiapps", "status", "pi-77"], 2),
    ],
    ids=lambda words: words[-1] if isinstance(words, list) else "",
)
def test_what_is_said_on_standard_error_never_changes_the_end(kind, words, code):
    python = str(folder("mpich") / "python")
    if kind == "closed":
        ended = start([python, *words], **closed(2))
    elif kind == "full":
        with FULL.open("w") as full:
            ended = start([python, *words], stderr=full)
    else:
        writer = gone()
        ended = start([python, *words], stderr=writer)
        os.close(writer)
    assert ended.returncode == code
    if code == 0:
        assert "pi on 1 rank" in ended.stdout


LATER = ["", "write_err('a note')", "sys.exit(0)", "sys.exit(3)"]


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_script_has_printed_and_cannot_be_written_is_an_error(
    kind, later, tmp_path
):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from mpiapps.base.streams import write_err\n"
        "from mpiapps.comm import open_world\n"
        f"with open_world():\n    print('x')\n    {later}\n"
    )
    words = [str(folder("mpich") / "python"), str(script)]
    ended = with_output(kind, words, variables={"PYTHONUNBUFFERED": ""})
    # Python's print to no stream at all is not an error.
    code = 3 if "3" in later else 0 if kind == "closed" else 74
    assert ended.returncode == code, ended.stderr


def test_a_failed_task_is_reported_to_whom_it_may_concern(tmp_path):
    (tmp_path / "tasks").write_text("false\n")
    python = str(folder("mpich") / "python")
    ended = start([python, "-m", "mpiapps.farm", str(tmp_path / "tasks")], **closed(2))
    assert ended.returncode == 3


def test_a_closed_stream_does_not_give_its_number_to_a_file(tmp_path):
    """Else what a library prints would go into the record."""
    path = tmp_path / "r.json"
    script = tmp_path / "script.py"
    script.write_text(
        "import dataclasses, os, sys\n"
        "from mpiapps.pi import PROGRAM\n"
        "from mpiapps.app import runner\n"
        "def run(world, options):\n"
        "    with open(os.devnull, 'w') as file:\n"
        "        assert file.fileno() > 2\n"
        "    return runner.Result({'x': 1})\n"
        "sys.exit(runner.main(dataclasses.replace(PROGRAM, run=run)))\n"
    )
    python = str(folder("mpich") / "python")
    with_output("closed", [python, str(script), "--json", str(path)])
    assert json.loads(path.read_text())["values"] == {"x": 1}
