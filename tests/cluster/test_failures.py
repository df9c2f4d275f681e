"""Time limits, kills and lost networks: no false success, no lost work."""

import json
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

LIMIT = ["--time", "1m", "--signal-delay", "50s"]  # 10 s per start for the program
HOSTS = "n1", "n2", "n3"
N = 100_000
# s of work: more than one start allows, long enough to be preempted, or less
PAST_LIMIT, LONG, SHORT = 11, 12, 7


def arguments(seconds):
    """Return the arguments of tests/paced.py."""
    return [
        *("--", "--n", str(N), "--duration", str(seconds)),
        *("--checkpoint-every", "1"),
    ]


def assert_same_record(run):
    """Assert that the record is that of an uninterrupted run."""
    recorded = record(run)
    assert recorded["values"] == {"sum": (N - 1) * N * (2 * N - 1) // 6}
    assert recorded["options"]["n"] == N
    assert recorded["finished"] is True


def run_past_limit(scheduler, request):
    """Run a job that takes longer than its time limit; return its run."""
    run = submit(scheduler, "paced.py", *request, *LIMIT, *arguments(PAST_LIMIT))
    ended = wait(run, limit=400)
    assert (ended["state"], ended["code"]) == ("done", 0), output(run)
    assert ended["requeues"] >= 1
    assert "which is saved in" in output(run)
    assert_same_record(run)
    assert not (SHARED / "logs" / run / "checkpoint.json").exists()
    return run


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_job_is_requeued_at_its_limit(scheduler):
    run_past_limit(scheduler, shape(scheduler))


def test_grid_engine_reruns_a_job_of_one_host():
    run = run_past_limit("sge", ["--ranks-per-node", "2"])
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
    words = [
        "--nodes",
        "2",
        "--ranks-per-node",
        "2",
        "--",
        "--samples",
        "1e14",
        "--checkpoint-every",
        "1",
        f"--{seed}",
    ]
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
            kill(other, "paced.py")
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
def test_faults_are_reported_and_resubmission_completes(fault):
    request = ["--nodes", "2", "--ranks-per-node", "2", "--time", "10m"]
    run = submit(fault.scheduler, "paced.py", *request, *arguments(SHORT))
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
    assert_same_record(run)


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
def test_a_preempted_run_resumes(signalled):
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
        run = submit("slurm", "paced.py", *request, *arguments(LONG))
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
    assert_same_record(run)
