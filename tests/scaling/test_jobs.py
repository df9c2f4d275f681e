"""`mpiapps scaling` on a cluster of this host, whose sbatch runs a job at once."""

import json
import signal
import subprocess
import sys

import pytest

from tests.scaling.cluster_here import release, submissions
from tests.scaling.test_command import run_in_process


def scripted(cluster, *words, broken="none"):
    """Run a study of the script, which fails on `broken` hosts."""
    return cluster.mpiapps(
        "scaling", "script.py", "--site", "plain.toml", "--nodes", "1,2",
        "--repeats", "1", "--format", "json", *words, "--", broken,
    )  # fmt: skip


def test_each_run_is_a_job_and_its_record_is_collected(cluster):
    words = ["scaling", "amdahl", "--site", "site.toml", "--nodes", "1,2",
             "--ranks-per-node", "2", "--time", "5m", "--repeats", "1",
             "--format", "json", "--", "--work", "0.4"]  # fmt: skip
    ended = cluster.mpiapps(*words)
    assert ended.code == 0, ended.out + ended.err
    assert "2 jobs submitted" in ended.err
    one, two = json.loads(ended.out)["rows"]
    assert [(r["nodes"], r["ranks"], r["count"]) for r in (one, two)] == [
        (1, 2, 1),
        (2, 4, 2),
    ]
    assert one["seconds"]["value"] > 0.19
    assert two["seconds"]["value"] > 0.11
    assert two["pop"]["load_balance"] > 0
    again = cluster.mpiapps(*words)
    assert json.loads(again.out)["rows"] == [one, two]
    assert submissions(cluster) == 2


def test_a_failed_job_is_reported_once_and_then_submitted_again(cluster):
    ended = scripted(cluster, broken="2")
    assert ended.code == 3, ended.out + ended.err
    assert "2 nodes x 2 ranks: script-2n2r1t-0-1: failed with exit code 7" in ended.err
    assert "  broken on 2\n" in ended.err
    (row,) = json.loads(ended.out)["rows"]
    assert row["nodes"] == 1
    assert 1 <= row["seconds"]["value"] <= 3
    assert scripted(cluster, broken="2").code == 3
    assert submissions(cluster) == 3


def test_jobs_without_waiting_are_collected_later(cluster):
    (cluster.path / "hold").touch()
    for _ in range(2):
        ended = scripted(cluster, "--no-wait")
        assert (ended.code, ended.out) == (0, ""), ended.err
        assert "2 jobs have not ended" in ended.err
    assert submissions(cluster) == 2
    ended = cluster.mpiapps("scaling", "script.py", "--site", "plain.toml")
    assert ended.code == 2
    release(cluster)
    ended = scripted(cluster)
    assert ended.code == 0, ended.err
    assert "0 jobs submitted, 2 found" in ended.err
    assert len(json.loads(ended.out)["measurements"]) == 2
    assert submissions(cluster) == 2


def test_a_cancelled_job_is_a_failure_of_its_case_only(cluster):
    (cluster.path / "hold").touch()
    ended = scripted(cluster, "--no-wait")
    (logs,) = (cluster.path / "script.scaling" / "runs").iterdir()
    ended = cluster.mpiapps("cancel", "script-1n1r1t-0-1", "--logs",
                    str(logs.relative_to(cluster.path)))  # fmt: skip
    assert ended.code == 0, ended.err
    cancelled = {
        p for p in (cluster.path / "queue").iterdir() if "CANC" in p.read_text()
    }
    assert len(cancelled) == 1
    cancelled.pop().with_suffix(".sh").unlink()
    release(cluster)
    ended = scripted(cluster)
    assert ended.code == 3
    assert "script-1n1r1t-0-1: cancelled" in ended.err
    (row,) = json.loads(ended.out)["rows"]
    assert row["nodes"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_study_finds_its_jobs_again(cluster, number):
    (cluster.path / "hold").touch()
    words = ["scaling", "script.py", "--site", "plain.toml", "--nodes", "1,2",
             "--repeats", "1", "--format", "json", "--", "none"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "mpiapps", *words],
        cwd=cluster.path,
        stderr=subprocess.PIPE,
        text=True,
    )
    first = process.stderr.readline()
    assert "2 jobs submitted" in first
    process.send_signal(number)
    text = process.communicate(timeout=60)[1]
    assert process.returncode in (128 + number, -number)
    if number == signal.SIGINT:
        assert "the jobs go on; the same command collects them" in text
    release(cluster)
    ended = scripted(cluster)
    assert ended.code == 0, ended.err
    assert "0 jobs submitted, 2 found" in ended.err
    assert submissions(cluster) == 2


def test_a_run_killed_during_its_submission_is_not_submitted_twice(cluster):
    (cluster.path / "hold").touch()
    scripted(cluster, "--no-wait")
    (events,) = (cluster.path / "script.scaling").glob("runs/*/*2n2r1t*/events.jsonl")
    events.write_text("")
    ended = scripted(cluster, "--no-wait")
    assert ended.code == 3
    assert "script-2n2r1t-0" in ended.err
    assert "remove the directory" in ended.err
    release(cluster)  # the job has existed: it writes its start
    ended = scripted(cluster)
    assert ended.code == 0, ended.err
    assert submissions(cluster) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nodes", "1", "--ranks", "2"], "--ranks-per-node"),
        (["--ranks-per-node", "2"], "--nodes 1,2,4"),
        (["--scheduler", "slurm"], "which sizes"),
        (["--no-wait"], "--no-wait is for jobs"),
        (["--allocation", "one"], "--allocation one is for jobs"),
        (["--nodes", "1", "--kind", "throughput"], "on this host"),
        (["--nodes", "1"], "select one: --scheduler"),
        (["--nodes", "1", "--scheduler", "slurm", "--name", "a b"], "letters"),
    ],
)
def test_conflicting_options_are_errors(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, text = run_in_process(["pi", *words])
    assert code == 2
    assert message in text
    assert list(tmp_path.iterdir()) == []
