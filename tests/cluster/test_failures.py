"""Limits, kills and cuts on real daemons: never a false success, never lost work."""

import json
import subprocess
from dataclasses import dataclass

import pytest

from tests.cluster.hosts import (
    PLACE,
    SCHEDULERS,
    SCRIPT,
    mpiapps,
    on,
    output,
    record,
    shape,
    status,
    submit,
    until,
    wait,
)

LONG, SHORT = 40_000_000_000, 15_000_000_000  # darts: for longer than LIMIT, or not
LIMIT = ["--time", "1m", "--warn", "50s"]


def arguments(samples):
    return ["--", "--samples", str(samples), "--checkpoint-every", "1"]


@pytest.fixture(scope="module")
def references():
    """Return the records of runs in one go on one host, by their samples."""
    found = {}
    for samples in (LONG, SHORT):
        words = ["run", "pi", "-n", "2", "--samples", str(samples), "--json", "-"]
        ended = mpiapps(*words)
        assert ended.code == 0, ended.err
        found[samples] = json.loads(ended.out)
    return found


def same(run, references):
    """Assert that the record is bit for bit that of the run in one go."""
    found = record(run)
    reference = references[found["options"]["samples"]]
    assert found["values"] == reference["values"]
    assert found["options"] == reference["options"]
    assert found["finished"] is True


@pytest.fixture(scope="module")
def long_jobs():
    """Jobs that outlive their limit, on both schedulers at once."""
    return {
        each: submit(each, "pi", *shape(each), *LIMIT, *arguments(LONG))
        for each in SCHEDULERS
    }


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_job_outlives_its_limit(scheduler, references, long_jobs):
    run = long_jobs[scheduler]
    ended = wait(run, limit=400)
    assert (ended["state"], ended["code"]) == ("done", 0), output(run)
    assert ended["requeues"] >= 1
    assert "which is saved in" in output(run)
    same(run, references)
    assert not (PLACE / "logs" / run / "checkpoint.json").exists()


def test_grid_engine_starts_a_job_of_one_host_again(references):
    run = submit("sge", "pi", "--ranks-per-node", "2", *LIMIT, *arguments(LONG))
    ended = wait(run, limit=400)
    assert (ended["state"], ended["code"]) == ("done", 0), output(run)
    assert ended["requeues"] >= 1
    events = (PLACE / "logs" / run / "events.jsonl").read_text().splitlines()
    assert len({json.loads(line)["job"] for line in events}) == 1
    same(run, references)


@dataclass(frozen=True)
class Fault:
    """What is done to a running job, and how it may end then."""

    name: str
    scheduler: str
    states: tuple
    again: bool = True  # whether it must be submitted again by hand


FAULTS = [
    Fault("cancel", "slurm", ("cancelled",)),
    Fault("script", "slurm", ("failed",)),
    Fault("rank", "slurm", ("failed",)),
    # Slurm itself starts a job again whose host is lost.
    Fault("daemon", "slurm", ("done",), again=False),
    Fault("network", "slurm", ("done",), again=False),
    Fault("cancel", "sge", ("cancelled",)),
    Fault("script", "sge", ("failed",)),
    Fault("rank", "sge", ("failed",)),
]


def kill(host, pattern):
    ended = on(host, "pkill", "-9", "-f", pattern)
    assert ended.code == 0, f"nothing to kill: {pattern} on {host}"


def strike(fault, run):
    """Do it, where the job's script does not run unless it is the script."""
    events = (PLACE / "logs" / run / "events.jsonl").read_text().splitlines()
    first = json.loads(events[-1])["host"]
    other = next(host for host in ("n2", "n1") if host != first)
    match fault.name, fault.scheduler:
        case "cancel", _:
            assert mpiapps("cancel", run).code == 0
        case "script", "slurm":
            kill(first, "bash.*slurm_script|/slurm_script")
        case "script", "sge":
            kill(first, "bash.*job_scripts/")
        case "rank", _:
            kill(other, "mpiapps.pi")
        case "daemon", _:
            kill(other, "slurmd|slurmstepd")
        case "network", _:
            cluster("cut", other)
    return other


def cluster(*words):
    subprocess.run(["bash", str(SCRIPT), *words], check=True)


def mend(fault, host, run):
    """Give the host back once the scheduler has noticed its loss."""
    if fault.name not in ("daemon", "network"):
        return
    until(lambda: starts(run) or status(run)["state"] == "pending", "a new start")
    if fault.name == "network":
        cluster("join", host)
    else:
        on(host, "slurmd")


def starts(run):
    events = (PLACE / "logs" / run / "events.jsonl").read_text()
    return events.count('"start"') > 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.scheduler}-{f.name}")
def test_no_fault_is_a_success(fault, references):
    asked = ["--nodes", "2", "--ranks-per-node", "2", "--time", "10m"]
    run = submit(fault.scheduler, "pi", *asked, *arguments(SHORT))
    checkpoint = PLACE / "logs" / run / "checkpoint.json"
    until(checkpoint.exists, f"{run} to save")
    host = strike(fault, run)
    mend(fault, host, run)
    ended = wait(run, limit=200)
    assert ended["state"] in fault.states, (ended, output(run))
    if fault.again:
        assert not (PLACE / "logs" / run / "record.json").exists()
        ended = mpiapps("resubmit", run)
        assert ended.code == 0, ended.err
        ended = wait(run, "done", "failed", "stopped")
        assert ended["state"] == "done", output(run)
    same(run, references)
