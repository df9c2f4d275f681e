"""Limits, kills and cuts on real daemons: never a false success, never lost work."""

import json
import os
from dataclasses import dataclass

import pytest

from tests.cluster.hosts import (
    CLUSTER,
    PLACE,
    SCHEDULERS,
    cluster,
    events,
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

LIMIT = [
    "--time",
    "1m",
    "--signal-delay",
    "40s",
]  # 20 s of each start are for the program
HOSTS = "n1", "n2", "n3"
LONG, SHORT = 20, 10  # s of work for all cores: for longer than that, or not


def arguments(samples):
    return ["--", "--samples", str(samples), "--checkpoint-every", "1"]


@pytest.fixture(scope="module")
def references():
    """Return records of runs in one go on one host, by how long they should take."""
    cores = str(min(os.cpu_count() or 1, 6))
    first = pi(cores, 2 * 10**9)
    rate = 2 / first["timings"]["kernel"]["max"]  # 10**9 darts a second
    return {each: pi(cores, round(rate * each) * 10**9) for each in (LONG, SHORT)}


def pi(ranks, samples):
    ended = mpiapps("run", "pi", "-n", ranks, "--samples", str(samples), "--json", "-")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def same(run, reference):
    """Assert that the record is bit for bit that of the run in one go."""
    found = record(run)
    assert found["values"] == reference["values"]
    assert found["options"] == reference["options"]
    assert found["finished"] is True


def outlives(scheduler, asked, reference):
    """Submit a job that outlives its limit; return its run, done."""
    samples = reference["options"]["samples"]
    run = submit(scheduler, "pi", *asked, *LIMIT, *arguments(samples))
    ended = wait(run, limit=400)
    assert (ended["state"], ended["code"]) == ("done", 0), output(run)
    assert ended["requeues"] >= 1
    assert "which is saved in" in output(run)
    same(run, reference)
    assert not (PLACE / "logs" / run / "checkpoint.json").exists()
    return run


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_job_outlives_its_limit(scheduler, references):
    outlives(scheduler, shape(scheduler), references[LONG])


def test_grid_engine_starts_a_job_of_one_host_again(references):
    run = outlives("sge", ["--ranks-per-node", "2"], references[LONG])
    assert len({json.loads(line)["job"] for line in events(run, "")}) == 1


@dataclass(frozen=True)
class Fault:
    """What is done to a running job, and how it may end then."""

    name: str
    scheduler: str
    states: tuple


FAULTS = [
    Fault("cancel", "slurm", ("cancelled",)),
    Fault("script", "slurm", ("failed",)),
    Fault("rank", "slurm", ("failed",)),
    # Ranks end with their daemon: the job has failed if Slurm notices the loss later.
    # It starts a job again whose host is lost.
    Fault("daemon", "slurm", ("done", "failed")),
    Fault("network", "slurm", ("done",)),
    Fault("cancel", "sge", ("cancelled",)),
    Fault("script", "sge", ("failed",)),
    Fault("rank", "sge", ("failed",)),
]


def kill(host, pattern):
    ended = on(host, "pkill", "-9", "-f", pattern)
    assert ended.code == 0, f"nothing to kill: {pattern} on {host}"


@pytest.mark.parametrize(("scheduler", "mpi"), [("slurm", "openmpi"), ("sge", "mpich")])
def test_ranks_of_a_killed_launcher_end_on_all_hosts(scheduler, mpi):
    seed = f"seed={1 + SCHEDULERS.index(scheduler)}{len(mpi)}4242"  # a name for pgrep
    words = ["--nodes", "2", "--ranks-per-node", "2", *arguments(1e14), f"--{seed}"]
    run = submit(scheduler, "pi", *words, mpi=mpi)
    until((PLACE / "logs" / run / "checkpoint.json").exists, f"{run} to save")
    kill(json.loads(events(run, '"start"')[-1])["host"], f"(mpiexec|prterun).*{seed}")
    assert wait(run)["state"] == "failed"
    until(
        lambda: all(on(host, "pgrep", "-f", seed).code == 1 for host in HOSTS),
        f"the ranks of {run} to end",
        limit=15,
    )


def strike(fault, run):
    """Do it, where the job's script does not run unless it is the script."""
    first = json.loads(events(run, "")[-1])["host"]
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


def mend(fault, host, run):
    """Give the host back once the scheduler has noticed its loss."""
    if fault.name not in ("daemon", "network"):
        return
    ended = ("pending", "done", "failed")
    try:
        until(lambda: starts(run) or status(run)["state"] in ended, "a new start")
    finally:  # the tests that follow need it
        if fault.name == "network":
            cluster("join", host)
        else:
            on(host, "slurmd")


def starts(run):
    return len(events(run, '"start"')) > 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.scheduler}-{f.name}")
def test_no_fault_is_a_success(fault, references):
    reference = references[SHORT]
    asked = ["--nodes", "2", "--ranks-per-node", "2", "--time", "10m"]
    samples = reference["options"]["samples"]
    run = submit(fault.scheduler, "pi", *asked, *arguments(samples))
    checkpoint = PLACE / "logs" / run / "checkpoint.json"
    until(checkpoint.exists, f"{run} to save")
    host = strike(fault, run)
    mend(fault, host, run)
    ended = wait(run, limit=200)
    assert ended["state"] in fault.states, (ended, output(run))
    if ended["state"] != "done":
        assert not (PLACE / "logs" / run / "record.json").exists()
        ended = mpiapps("resubmit", run)
        assert ended.code == 0, ended.err
        ended = wait(run, "done", "failed", "stopped")
        assert ended["state"] == "done", output(run)
    same(run, reference)


def preempt_by(options):
    """Set the controller's options; return what it had."""
    conf = CLUSTER / "slurm.conf"
    before = conf.read_text()
    conf.write_text(before + options)
    assert on("head", "scontrol", "reconfigure").code == 0
    return conf, before


# Who is told first when the grace time begins: the ranks' daemons, or the script.
TOLD = {"steps": "", "script": "SlurmctldParameters=preempt_send_user_signal\n"}


@pytest.mark.parametrize("told", TOLD)
def test_a_preempted_run_goes_on(told, references):
    reference = references[LONG]
    asked = ["--nodes", "2", "--ranks-per-node", "2", "--time", "10m", "--queue", "low"]
    conf, before = preempt_by(TOLD[told])
    try:
        samples = reference["options"]["samples"]
        run = submit("slurm", "pi", *asked, *arguments(samples))
        checkpoint = PLACE / "logs" / run / "checkpoint.json"
        until(checkpoint.exists, f"{run} to save")
        urgent = submit("slurm", "pi", *shape("slurm"), "--", "--samples", "1e6")
        assert wait(urgent)["state"] == "done", output(urgent)
    finally:
        conf.write_text(before)
        on("head", "scontrol", "reconfigure")
    ended = wait(run)
    assert ended["state"] == "done", output(run)
    assert ended["requeues"] == 1
    assert output(run).count("which is saved in") == (told == "script")
    same(run, reference)
