"""The usage in a record is that of the scheduler's accounting, where it is on."""

import re

import pytest

from tests.cluster.hosts import (
    SCHEDULERS,
    on,
    output,
    record,
    status,
    submit,
    until,
    wait,
)

REQUEST = ["--ranks-per-node", "2", "--memory", "1GiB", "--time", "30m"]


def slurm_seconds(job):
    """Return the CPU seconds of a job, or `None` without accounting."""
    config = on("head", "scontrol", "show", "config").out
    if re.search(
        r"AccountingStorageType\s*=\s*(accounting_storage/none|\(null\))", config
    ):
        return None
    argv = ["sacct", "-j", job, "-n", "-X", "-P", "-o", "TotalCPU"]
    until(lambda: ":" in on("head", *argv).out, f"sacct to know job {job}")
    days, _, clock = on("head", *argv).out.strip().rpartition("-")
    seconds = 0.0
    for part in clock.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds + 86400 * int(days or 0)


def sge_seconds(job):
    """Return the CPU seconds of a job."""
    argv = ["qacct", "-j", job]
    until(lambda: on("head", *argv).code == 0, f"qacct to know job {job}")
    return float(re.search(r"^cpu\s+([\d.]+)", on("head", *argv).out, re.MULTILINE)[1])


SECONDS = {"slurm": slurm_seconds, "sge": sge_seconds}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_usage_is_that_of_accounting(scheduler):
    run = submit(scheduler, "pi", *REQUEST, "--", "--samples", "3e9")
    ended = wait(run)
    assert ended["state"] == "done", output(run)
    usage = record(run)["usage"]
    assert len(usage["ranks"]) == 2
    seconds = SECONDS[scheduler](ended["id"])
    if seconds is not None:  # with that of mpiexec, the script and the end of Python
        assert 0.5 * seconds < usage["cpu_seconds"] <= seconds + 0.5
    # The record makes the run done; the script writes its line a moment later.
    until(lambda: "mpiapps: CPU efficiency" in output(run), "the line of usage")
    line = status(run)["usage"]
    assert re.match(r"CPU efficiency \d+ % of 2 cores; memory \d+ MiB of 1.0 GiB", line)
    assert "would have fitted: --memory " in line
    assert f"mpiapps: {line}\n" in output(run)
