"""pi stops when it is told to, and goes on anywhere: the same bits in the end."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.launch import LIMIT, MPIS, ROOT, clean_environment, folder, on_ranks

SAMPLES = "1e10"  # some seconds
SAVES = ("--checkpoint-every", "1")
PI = ["-m", "mpiapps.pi", "--samples", SAMPLES]


@pytest.fixture(scope="module")
def reference():
    """Return the values of a run in one go."""
    return values(on_ranks("mpich", 2, *PI, "--json", "-"))


def values(ended):
    assert ended.code == 0, ended.err
    return json.loads(ended.out)["values"]


def stopped(mpi, ranks, path, *words, who="launcher"):
    """Start pi, warn it once it has saved; return its exit code and what it said."""
    command = [str(folder(mpi) / "python"), str(ROOT / "scripts" / "on_ranks.py")]
    command += [str(ranks), *PI, "--checkpoint", str(path), *SAVES]
    job = subprocess.Popen(
        [*command, *words],
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + LIMIT
        while not path.exists():
            assert time.monotonic() < end
            assert job.poll() is None, "it ended before it saved"
            time.sleep(0.02)
        pid = job.pid if who == "launcher" else last_rank(path)
        os.kill(pid, signal.SIGUSR1)
        _, said = job.communicate(timeout=LIMIT)
    finally:
        if job.poll() is None:
            job.terminate()
        job.communicate(timeout=LIMIT)
    return job.returncode, said


def last_rank(path):
    """Return the process of one rank: the newest that has the file's name."""
    found = subprocess.run(
        ["pgrep", "-n", "-f", f"python.*--checkpoint {path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(found.stdout)


def test_ranks_save_over_the_network(tmp_path):
    """MPICH as between hosts: each rank is one of its own."""
    words = ["--checkpoint", str(tmp_path / "c"), "--checkpoint-every", "1"]
    ended = on_ranks("mpich", 3, *PI, *words, MPIR_CVAR_NOLOCAL="1")
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("mpi", MPIS)
def test_a_warned_job_goes_on_on_other_ranks(mpi, tmp_path, reference):
    path = tmp_path / "checkpoint.json"
    code, said = stopped(mpi, 3, path)
    assert code == 75, said
    assert said.count("stopped before the end") == 1
    assert "Traceback" not in said
    assert json.loads(path.read_text())["stopped"] == 1
    words = ["--checkpoint", str(path), "--json", "-"]
    assert values(on_ranks("mpich", 2, *PI, *words)) == reference
    assert not path.exists()


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_a_run_that_saves_now_and_then_ends_as_any(schedule, tmp_path, reference):
    path = tmp_path / "checkpoint.json"
    words = ["--checkpoint", str(path), *SAVES, "--json", "-"]
    ended = on_ranks("openmpi", 3, *PI, "--schedule", schedule, *words)
    assert values(ended) == reference
    assert not path.exists()


def test_one_rank_that_is_warned_stops_all(tmp_path, reference):
    path = tmp_path / "checkpoint.json"
    code, said = stopped("openmpi", 2, path, "--schedule", "dynamic", who="rank")
    assert code == 75, said
    words = ["--schedule", "dynamic", "--checkpoint", str(path), "--json", "-"]
    assert values(on_ranks("openmpi", 4, *PI, *words)) == reference


@pytest.mark.parametrize("mpi", MPIS)
def test_the_deadline_stops_it_and_nothing_is_done_twice(mpi, tmp_path):
    path = tmp_path / "checkpoint.json"
    words = ["--checkpoint", str(path), "--json", str(tmp_path / "record.json")]
    ended = on_ranks(mpi, 2, *PI, *words, MPIAPPS_DEADLINE="1")
    assert ended.code == 75, ended.err
    assert "% done, which is saved in" in ended.err
    assert not (tmp_path / "record.json").exists()


def test_a_checkpoint_of_other_options_is_refused_and_kept(tmp_path):
    path = tmp_path / "checkpoint.json"
    words = ["--checkpoint", str(path)]
    ended = on_ranks("mpich", 2, *PI, *words, MPIAPPS_DEADLINE="1")
    assert ended.code == 75
    before = path.read_text()
    ended = on_ranks("mpich", 2, *PI, *words, "--seed", "7")
    assert ended.code == 65
    assert "is of a run with --seed 0" in ended.err
    assert ended.err.count("error") == 1
    assert path.read_text() == before


def test_the_jobs_variables_name_checkpoint_and_record(tmp_path):
    path, record = tmp_path / "checkpoint.json", tmp_path / "record.json"
    names = {"MPIAPPS_CHECKPOINT": str(path), "MPIAPPS_RECORD": str(record)}
    words = ["-m", "mpiapps.pi", "--samples", "1e6"]
    ended = on_ranks("mpich", 2, *words, **names, MPIAPPS_DEADLINE="1")
    assert ended.code == 75
    assert path.exists()
    assert not record.exists()
    ended = on_ranks("mpich", 2, *words, **names)
    assert ended.code == 0
    assert not path.exists()
    assert record.read_text().endswith('"finished": true}\n')
