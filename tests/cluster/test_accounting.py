"""Slurm with MariaDB and slurmdbd: status and usage agree with sacct, late or not."""

import re

import pytest

from tests.cluster.hosts import (
    SHARED,
    SRUN_MPI,
    cluster,
    on,
    output,
    record,
    status,
    submit,
    until,
    wait,
)


@pytest.fixture(scope="module", autouse=True)
def accounting():
    cluster("accounting", "up")
    yield
    cluster("accounting", "down")


def sacct(job, *fields):
    """Return the fields of a job, or of a step, once accounting knows its end."""
    argv = ["sacct", "-j", job, "-n", "-P", "--units=K", "-o"]
    argv += [",".join(("End", *fields))]
    rows = []

    def ended():
        rows[:] = [line.split("|") for line in on("head", *argv).out.splitlines()]
        return rows and rows[0][0] not in ("", "Unknown")

    until(ended, f"sacct to know the end of {job}")
    return rows[0][1:]


def forgotten(job):
    """Return whether the controller has forgotten a job."""
    return job not in on("head", "squeue", "-h", "-t", "all", "-o", "%i").out.split()


def seconds(clock):
    """Return the seconds of sacct's ``[hours:]minutes:seconds``."""
    total = 0.0
    for part in clock.split(":"):
        total = 60 * total + float(part)
    return total


def sampled(job):
    """Return whether Slurm has seen the memory of a step's ranks."""
    argv = ["sstat", "-j", f"{job}.0", "-n", "-P", "--noconvert", "-o", "MaxRSS"]
    return on("head", *argv).out.strip() not in ("", "0")


# Slurm samples memory each two seconds: ranks of a fast host could end before. Of 3 s
# of CPU time the end of Python is a small part.
UNTIL_SAMPLED = """
import time
from pathlib import Path


def computes(path):
    while not Path("sampled").exists() or time.process_time() < 3:
        sum(range(100_000))
"""


def test_usage_is_that_of_sacct():
    (SHARED / "until_sampled.py").write_text(UNTIL_SAMPLED)
    (SHARED / "sampled").unlink(missing_ok=True)
    request = ["--ranks-per-node", "2", "--memory", "1GiB", "--time", "30m"]
    paths = [str(SHARED / f"{scheduler}.toml") for scheduler in ("slurm", "sge")]
    words = ["map", "until_sampled:computes", *paths, "-o", str(SHARED / "none")]
    words = [*request, "--launcher", "srun", "--", *words]
    run = submit("slurm", "files", *words, mpi=SRUN_MPI)
    try:
        until(lambda: status(run)["state"] == "running", f"{run} to start")
        until(lambda: sampled(status(run)["id"]), "a sample of memory")
    finally:
        (SHARED / "sampled").touch()
    ended = wait(run)
    assert ended["state"] == "done", output(run)
    until(lambda: status(run)["usage"], "the line of usage")
    line, usage = status(run)["usage"], record(run)["usage"]
    state, elapsed, cores = sacct(ended["id"], "State", "ElapsedRaw", "AllocCPUS")
    assert (state, cores) == ("COMPLETED", "2")
    wall = re.search(r"time (?:(\d+) m )?(\d+) s of", line)
    wall = 60 * int(wall[1] or 0) + int(wall[2])
    # The job has also the start and the end of the script.
    assert wall <= int(elapsed) + 1
    memory, cpu = sacct(f"{ended['id']}.0", "MaxRSS", "TotalCPU")
    # sacct's figure is of the largest rank, by samples, one each two seconds.
    assert 0 < float(memory.removesuffix("K")) * 1024 <= 1.1 * usage["peak_memory"]
    # sacct's has also the end of Python, up to a second of each rank on a busy host.
    assert 0.7 * seconds(cpu) < usage["cpu_seconds"] <= seconds(cpu) + 0.5
    percent = int(re.search(r"CPU efficiency (\d+) %", line)[1])
    # Two ranks; start and end are known to a second, which is a lot of a short job.
    seff = 100 * seconds(cpu) / ((int(elapsed) + 2) * 2)
    assert percent >= int(seff) - 5


def test_a_failed_job_that_only_accounting_knows():
    (SHARED / "exits-3.py").write_text("raise SystemExit(3)\n")
    run = submit("slurm", "exits-3.py", "--time", "5m")
    ended = wait(run)
    until(lambda: forgotten(ended["id"]), "the controller to forget the job")
    now = status(run)
    assert (now["state"], now["code"]) == (ended["state"], ended["code"])
    assert (now["state"], now["code"]) == ("failed", 3)
    assert sacct(ended["id"], "State", "ExitCode") == ["FAILED", "3:0"]


def test_accounting_that_lags_is_not_an_end():
    (SHARED / "sleeps-600.py").write_text(
        "import time\nprint('started', flush=True)\ntime.sleep(600)\n"
    )
    run = submit("slurm", "sleeps-600.py", "--nodelist", "n1", "--time", "20m")
    until(lambda: "started" in output(run), f"{run} to start")
    job = status(run)["id"]
    assert on("head", "pkill", "-x", "slurmdbd").code == 0
    try:
        # The script cannot record its end.
        assert on("n1", "pkill", "-9", "-f", "slurm_script").code == 0
        until(lambda: forgotten(job), "the controller to forget the job")
        assert status(run)["state"] == "no answer"
    finally:
        on("head", "runuser", "-u", "slurm", "--", "slurmdbd")
    ended = wait(run)
    assert (ended["state"], ended["code"]) == ("failed", 137)
    assert sacct(job, "State", "ExitCode") == ["FAILED", "0:9"]
