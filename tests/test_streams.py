"""Full, closed and broken standard output and error; results are in files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import LIMIT, MPIS, ROOT, bin_directory, clean_environment

FULL = Path("/dev/full")
PI = ["-m", "mpiapps.pi", "--samples", "1e4"]


def closed(number):
    """Return the argument that closes a stream in the child, like ``>&-`` of sh."""
    return {"preexec_fn": lambda: os.close(number)}


def broken_pipe():
    """Return the write end of a pipe without a reader."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def start(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs):
    """Run `argv`; without forks, whose standard streams are not of their own."""
    variables = {"PRELOAD_SERVER": ""} | kwargs.pop("variables", {})
    return subprocess.run(
        argv,
        stdout=stdout,
        stderr=stderr,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=LIMIT,
        cwd=ROOT,
        check=False,
        env=clean_environment(**variables),
        **kwargs,
    )


def with_output(kind, argv, **kwargs):
    """Run `argv` with a standard output of this kind."""
    if kind == "full":
        with FULL.open("w") as full:
            return start(argv, full, **kwargs)
    if kind == "broken_pipe":
        writer = broken_pipe()
        try:
            return start(argv, writer, **kwargs)
        finally:
            os.close(writer)
    return start(argv, **closed(1), **kwargs)


KINDS = ["full", "broken_pipe", "closed"]


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_written_to_files_before_printing(kind, tmp_path):
    files = {name: tmp_path / name for name in ("json", "csv", "record")}
    argv = ["--json", str(files["json"]), "--csv", str(files["csv"])]
    variables = {"MPIAPPS_RECORD": str(files["record"])}
    python = str(bin_directory("mpich") / "python")
    ended = with_output(kind, [python, *PI, *argv], variables=variables)
    assert ended.returncode == 74, ended.stderr
    assert ended.stderr.count("cannot write to standard output") == 1
    assert "Traceback" not in ended.stderr
    assert json.loads(files["json"].read_text())["finished"] is True
    assert json.loads(files["record"].read_text())["values"]["samples"] == 10000
    assert len(files["csv"].read_text().splitlines()) == 2


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("preloaded")
def test_results_are_written_to_files_under_mpiexec(kind, mpi, tmp_path):
    """Output of ranks goes through mpiexec, whose exit code then varies."""
    command = [str(bin_directory(mpi) / "python"), "scripts/on_ranks.py", "2"]
    path = tmp_path / "r.json"
    ranks = {"PRELOAD_SERVER": os.environ.get("PRELOAD_SERVER", "")}
    with_output(kind, [*command, *PI, "--json", str(path)], variables=ranks)
    assert json.loads(path.read_text())["finished"] is True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "argv",
    [["list"], ["--help"], ["run", "pi", "--help"], ["lint", "jobs/slurm/pi.sh"],
     ["render", "pi", "--scheduler", "slurm", "--mpi", "openmpi"]],
    ids=" ".join,
)  # fmt: skip
def test_commands_that_cannot_print_exit_with_74(kind, argv):
    ended = with_output(kind, [sys.executable, "-m", "mpiapps", *argv])
    assert ended.returncode == 74, ended.stderr
    assert ended.stderr.count("cannot write to standard output") == 1
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ([*PI, "--progress", "bar", "--verbose"], 0),
        ([*PI, "--json", "/no/where"], 74),
        (["-m", "mpiapps.pi", "--smaples", "3"], 2),
        (["-m", "mpiapps", "status", "pi-77"], 2),
    ],
    ids=lambda argv: argv[-1] if isinstance(argv, list) else "",
)
def test_failure_of_standard_error_keeps_the_exit_code(kind, argv, code):
    python = str(bin_directory("mpich") / "python")
    if kind == "closed":
        ended = start([python, *argv], **closed(2))
    elif kind == "full":
        with FULL.open("w") as full:
            ended = start([python, *argv], stderr=full)
    else:
        writer = broken_pipe()
        ended = start([python, *argv], stderr=writer)
        os.close(writer)
    assert ended.returncode == code
    if code == 0:
        assert "pi on 1 rank" in ended.stdout


LAST_LINES = ["", "write_err('a note')", "sys.exit(0)", "sys.exit(3)"]


@pytest.mark.parametrize("last_line", LAST_LINES)
@pytest.mark.parametrize("kind", KINDS)
def test_failed_output_of_a_script_is_an_error(kind, last_line, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from mpiapps.base.streams import write_err\n"
        "from mpiapps.comm import open_world\n"
        f"with open_world():\n    print('x')\n    {last_line}\n"
    )
    argv = [str(bin_directory("mpich") / "python"), str(script)]
    ended = with_output(kind, argv, variables={"PYTHONUNBUFFERED": ""})
    # In Python, print without a stream is not an error.
    code = 3 if "3" in last_line else 0 if kind == "closed" else 74
    assert ended.returncode == code, ended.stderr


def test_failed_task_with_closed_standard_error(tmp_path):
    (tmp_path / "tasks").write_text("false\n")
    python = str(bin_directory("mpich") / "python")
    ended = start([python, "-m", "mpiapps.farm", str(tmp_path / "tasks")], **closed(2))
    assert ended.returncode == 3


def test_descriptor_of_closed_stream_is_not_reused(tmp_path):
    """Else a library would print into the record."""
    path = tmp_path / "r.json"
    script = tmp_path / "script.py"
    script.write_text(
        "import dataclasses, os, sys\n"
        "from mpiapps.pi import PROGRAM\n"
        "from mpiapps.app import runner\n"
        "def run(ctx, options):\n"
        "    with open(os.devnull, 'w') as file:\n"
        "        assert file.fileno() > 2\n"
        "    return runner.Result({'x': 1})\n"
        "sys.exit(runner.main(dataclasses.replace(PROGRAM, run=run)))\n"
    )
    python = str(bin_directory("mpich") / "python")
    with_output("closed", [python, str(script), "--json", str(path)])
    assert json.loads(path.read_text())["values"] == {"x": 1}
