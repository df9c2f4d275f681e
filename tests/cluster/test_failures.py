"""Time limits, kills and lost networks: no false success, no lost work."""

import fcntl
import json
import os
from dataclasses import dataclass

import pytest

from tests.cluster.hosts import (
    CLUSTER,
    POLL_SECONDS,
    SCHEDULERS,
    SHARED,
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

LIMIT = ["--time", "1m", "--signal-delay", "45s"]  # 15 s per start for the program
HOSTS = "n1", "n2", "n3"
LONG, SHORT = 15, 7  # s of work on all cores: more than one start allows, or less


def arguments(samples):
    return ["--", "--samples", str(samples), "--checkpoint-every", "1"]


@pytest.fixture(scope="module")
def references(tmp_path_factory, testrun_uid):
    """Return records of uninterrupted runs on one host, by their duration.

    The first process of pytest-xdist that needs them computes them for all.
    """
    path = tmp_path_factory.getbasetemp().parent / f"references-{testrun_uid}"
    with path.open("a+") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        if not (records := [json.loads(line) for line in stream]):
            cores = str(min(os.cpu_count() or 1, 6))
            # Of CPU time: other tests have a part of the cores for a part of the time.
            seconds = cpu_seconds(run_pi(cores, 2 * 10**9))
            seconds -= cpu_seconds(run_pi(cores, 10**6))
            rate = 2 / seconds  # 10**9 darts a second on all cores
            samples = [round(rate * seconds) * 10**9 for seconds in (LONG, SHORT)]
            records = [run_pi(cores, number) for number in samples]
            stream.writelines(json.dumps(each) + "\n" for each in records)
    return dict(zip((LONG, SHORT), records, strict=True))


def run_pi(ranks, samples):
    ended = mpiapps("run", "pi", "-n", ranks, "--samples", str(samples), "--json", "-")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def cpu_seconds(recorded):
    return max(each["cpu_seconds"] for each in recorded["usage"]["ranks"])


def assert_same_record(run, reference):
    """Assert that the record has the bits of that of the uninterrupted run."""
    recorded = record(run)
    assert recorded["values"] == reference["values"]
    assert recorded["options"] == reference["options"]
    assert recorded["finished"] is True


def run_past_limit(scheduler, request, reference):
    """Run a job that takes longer than its time limit; return its run."""
    samples = reference["options"]["samples"]
    run = submit(scheduler, "pi", *request, *LIMIT, *arguments(samples))
    ended = wait(run, limit=400)
    assert (ended["state"], ended["code"]) == ("done", 0), output(run)
    assert ended["requeues"] >= 1
    assert "which is saved in" in output(run)
    assert_same_record(run, reference)
    assert not (SHARED / "logs" / run / "checkpoint.json").exists()
    return run


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_job_is_requeued_at_its_limit(scheduler, references):
    run_past_limit(scheduler, shape(scheduler), references[LONG])


def test_grid_engine_reruns_a_job_of_one_host(references):
    run = run_past_limit("sge", ["--ranks-per-node", "2"], references[LONG])
    assert len({json.loads(line)["job"] for line in events(run, "")}) == 1


@dataclass(frozen=True)
class Fault:
    """A fault of a running job, and the states in which the run may end."""

    name: str
    scheduler: str
    states: tuple


FAULTS = [
    Fault("cancel", "slurm", ("cancelled",)),
    Fault("script", "slurm", ("failed",)),
    Fault("rank", "slurm", ("failed",)),
    # Ranks end with their daemon. The job fails, unless Slurm notices the loss of the
    # daemon first and requeues the job.
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
    until((SHARED / "logs" / run / "checkpoint.json").exists, f"{run} to save")
    kill(json.loads(events(run, '"start"')[-1])["host"], f"(mpiexec|prterun).*{seed}")
    assert wait(run)["state"] == "failed"
    until(
        lambda: all(on(host, "pgrep", "-f", seed).code == 1 for host in HOSTS),
        f"the ranks of {run} to end",
        limit=15,
    )


def inject(fault, run):
    """Cause a fault; return the host, on which the job script does not run."""
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


def recover(fault, host, run):
    """Make the host available again after the scheduler has noticed its loss."""
    if fault.name not in ("daemon", "network"):
        return
    ended = ("pending", "done", "failed")
    try:
        until(
            lambda: starts(run) or status(run)["state"] in ended,
            "a new start",
            every=POLL_SECONDS,
        )
    finally:  # other tests need the host
        if fault.name == "network":
            cluster("join", host)
        else:
            on(host, "slurmd")


def starts(run):
    return len(events(run, '"start"')) > 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f"{f.scheduler}-{f.name}")
def test_faults_are_reported_and_resubmission_completes(fault, references):
    reference = references[SHORT]
    request = ["--nodes", "2", "--ranks-per-node", "2", "--time", "10m"]
    samples = reference["options"]["samples"]
    run = submit(fault.scheduler, "pi", *request, *arguments(samples))
    checkpoint = SHARED / "logs" / run / "checkpoint.json"
    until(checkpoint.exists, f"{run} to save")
    host = inject(fault, run)
    recover(fault, host, run)
    ended = wait(run, limit=200)
    assert ended["state"] in fault.states, (ended, output(run))
    if ended["state"] != "done":
        assert not (SHARED / "logs" / run / "record.json").exists()
        ended = mpiapps("resubmit", run)
        assert ended.code == 0, ended.err
        ended = wait(run, "done", "failed", "stopped")
        assert ended["state"] == "done", output(run)
    assert_same_record(run, reference)


def preempt_by(options):
    """Add options to slurm.conf; return its path and its previous text."""
    conf = CLUSTER / "slurm.conf"
    before = conf.read_text()
    conf.write_text(before + options)
    assert on("head", "scontrol", "reconfigure").code == 0
    return conf, before


# What Slurm signals when the grace time begins -> options in slurm.conf.
SIGNALLED = {"steps": "", "script": "SlurmctldParameters=preempt_send_user_signal\n"}


@pytest.mark.parametrize("signalled", SIGNALLED)
def test_a_preempted_run_resumes(signalled, references):
    reference = references[LONG]
    request = [
        "--nodes",
        "2",
        "--ranks-per-node",
        "2",
        "--time",
        "10m",
        "--queue",
        "low",
    ]
    conf, before = preempt_by(SIGNALLED[signalled])
    try:
        samples = reference["options"]["samples"]
        run = submit("slurm", "pi", *request, *arguments(samples))
        checkpoint = SHARED / "logs" / run / "checkpoint.json"
        until(checkpoint.exists, f"{run} to save")
        urgent = submit("slurm", "pi", *shape("slurm"), "--", "--samples", "1e6")
        assert wait(urgent)["state"] == "done", output(urgent)
    finally:
        conf.write_text(before)
        on("head", "scontrol", "reconfigure")
    ended = wait(run)
    assert ended["state"] == "done", output(run)
    assert ended["requeues"] == 1
    assert output(run).count("which is saved in") == (signalled == "script")
    assert_same_record(run, reference)
