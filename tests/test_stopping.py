"""Programs stop on request and resume on any number of ranks, with the same bits."""

import json
import os
import signal
import subprocess
import time

import pytest

from tests.commands import LIMIT, MPIS, ROOT, bin_directory, clean_environment, on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")
PI = ["-m", "mpiapps.pi", "--samples", "1e13"]  # hours: it does not end by itself
# Longer than the shortest checkpoint interval, 1 s, on any machine.
PACED = [str(ROOT / "tests" / "paced.py"), "--duration", "3"]
SAVES = ("--checkpoint-every", "1")
N = 100_000  # numbers of paced.py
TOTAL = {"sum": (N - 1) * N * (2 * N - 1) // 6}


def values(ended):
    assert ended.code == 0, ended.err
    return json.loads(ended.out)["values"]


def stopped(mpi, ranks, path, *argv, sender="launcher"):
    """Start paced.py, send SIGUSR1 after a checkpoint; return exit code and stderr."""
    command = [
        str(bin_directory(mpi) / "python"),
        str(ROOT / "scripts" / "on_ranks.py"),
    ]
    command += [str(ranks), *PACED, "--checkpoint", str(path), *SAVES]
    job = subprocess.Popen(
        [*command, *argv],
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
            assert job.poll() is None, "it ended before the first checkpoint"
            time.sleep(0.02)
        pid = job.pid if sender == "launcher" else last_rank(path)
        os.kill(pid, signal.SIGUSR1)
        _, err = job.communicate(timeout=LIMIT)
    finally:
        if job.poll() is None:
            job.terminate()
        job.communicate(timeout=LIMIT)
    return job.returncode, err


def last_rank(path):
    """Return the newest process of a rank, by the name of the checkpoint."""
    pgrep = subprocess.run(
        ["pgrep", "-n", "-f", f"python.*--checkpoint {path}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(pgrep.stdout)


def test_checkpoints_over_the_network(tmp_path):
    """MPICH with each rank as a host of its own."""
    argv = ["--checkpoint", str(tmp_path / "c"), *SAVES, "--json", "-"]
    ended = on_ranks("mpich", 3, *PACED, *argv, MPIR_CVAR_NOLOCAL="1")
    assert values(ended) == TOTAL


@pytest.mark.parametrize("mpi", MPIS)
def test_resume_on_another_number_of_ranks(mpi, tmp_path):
    path = tmp_path / "checkpoint.json"
    code, err = stopped(mpi, 3, path)
    assert code == 75, err
    assert err.count("stopped before the end") == 1
    assert "Traceback" not in err
    assert json.loads(path.read_text())["stopped"] == 1
    argv = ["--checkpoint", str(path), "--json", "-"]
    assert values(on_ranks("mpich", 2, *PACED, *argv)) == TOTAL
    assert not path.exists()


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_checkpoints_do_not_change_the_result(schedule, tmp_path):
    path = tmp_path / "checkpoint.json"
    argv = ["--checkpoint", str(path), *SAVES, "--json", "-"]
    ended = on_ranks("openmpi", 3, *PACED, "--schedule", schedule, *argv)
    assert values(ended) == TOTAL
    assert not path.exists()


def test_signal_to_one_rank_stops_all(tmp_path):
    path = tmp_path / "checkpoint.json"
    code, err = stopped("openmpi", 2, path, "--schedule", "dynamic", sender="rank")
    assert code == 75, err
    argv = ["--schedule", "dynamic", "--checkpoint", str(path), "--json", "-"]
    assert values(on_ranks("openmpi", 4, *PACED, *argv)) == TOTAL


@pytest.mark.parametrize("mpi", MPIS)
def test_stop_at_the_deadline(mpi, tmp_path):
    path = tmp_path / "checkpoint.json"
    argv = ["--checkpoint", str(path), "--json", str(tmp_path / "record.json")]
    ended = on_ranks(mpi, 2, *PI, *argv, MPIAPPS_DEADLINE="1")
    assert ended.code == 75, ended.err
    assert "% done, which is saved in" in ended.err
    assert not (tmp_path / "record.json").exists()


def test_checkpoint_of_other_options_is_an_error_and_is_kept(tmp_path):
    path = tmp_path / "checkpoint.json"
    argv = ["--checkpoint", str(path)]
    ended = on_ranks("mpich", 2, *PI, *argv, MPIAPPS_DEADLINE="1")
    assert ended.code == 75
    before = path.read_text()
    ended = on_ranks("mpich", 2, *PI, *argv, "--seed", "7")
    assert ended.code == 65
    assert "is of a run with --seed 0" in ended.err
    assert ended.err.count("error") == 1
    assert path.read_text() == before


def test_checkpoint_and_record_from_environment_variables(tmp_path):
    path, record = tmp_path / "checkpoint.json", tmp_path / "record.json"
    names = {"MPIAPPS_CHECKPOINT": str(path), "MPIAPPS_RECORD": str(record)}
    argv = ["-m", "mpiapps.pi", "--samples", "1e6"]
    ended = on_ranks("mpich", 2, *argv, **names, MPIAPPS_DEADLINE="1")
    assert ended.code == 75
    assert path.exists()
    assert not record.exists()
    ended = on_ranks("mpich", 2, *argv, **names)
    assert ended.code == 0
    assert not path.exists()
    assert record.read_text().endswith('"finished": true}\n')
