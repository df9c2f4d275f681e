"""Runs of several jobs: arrays, chains, dependencies; outages of the scheduler."""

from contextlib import contextmanager

import pytest

from tests.cluster.hosts import (
    CLUSTER,
    SCHEDULERS,
    SHARED,
    mpiapps,
    on,
    output,
    status,
    submit,
    until,
    wait,
)
from tests.commands import MPIS

# A script without a record: element 1 succeeds, 2 fails once, the others sleep.
OWN = """import os, pathlib, sys, time
index, prefix = sys.argv[1:]
with open(prefix + index, "a") as stream:
    stream.write("started\\n")
if index == "2" and not os.path.exists(prefix + "fixed"):
    sys.exit(3)
time.sleep(0 if index in "12" else 600)
"""


def states(whole):
    return [element["state"] for element in whole["elements"].values()]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_each_element_of_an_array_has_a_state(scheduler):
    prefix = str(SHARED / f"{scheduler}-own-")
    (SHARED / "own.py").write_text(OWN)
    request = ["--array", "1-6%2", "--ranks-per-node", "1", "--time", "10m"]
    run = submit(scheduler, "own.py", *request, "--", "{index}", prefix)
    expected = ["done", "failed", "running", "running", "pending", "pending"]
    until(lambda: states(status(run)) == expected, f"{run} to be {expected}")
    assert status(run)["reason"].startswith("1 of 6 done")
    again = mpiapps("resubmit", run)
    assert again.code == 2
    assert "is running" in again.err
    ended = mpiapps("cancel", run)
    assert ended.code == 0, ended.err
    expected = ["done", "failed", *["cancelled"] * 4]
    until(lambda: states(status(run)) == expected, f"{run} to be {expected}")
    # Resubmitted: the element that is done does not run again, the failed one does.
    (SHARED / f"{scheduler}-own-fixed").touch()
    assert mpiapps("resubmit", run).code == 0
    expected = ["done", "done", "running", "running", "pending", "pending"]
    until(lambda: states(status(run)) == expected, f"{run} to be {expected}")
    assert mpiapps("cancel", run).code == 0
    until(lambda: status(run)["state"] == "cancelled", f"{run} to be cancelled")
    assert (SHARED / f"{scheduler}-own-1").read_text() == "started\n"
    assert output(run).count("is finished already") == 1


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_run_waits_for_all_jobs_of_another_run(scheduler):
    limit = ["--time", "1m", "--signal-delay", "50s", "--max-requeues", "1"]
    sleeps = SHARED / f"sleeps-{scheduler}.txt"
    sleeps.write_text("sleep 3000\n" * 12)
    words = ["--", str(sleeps), "--directory", str(SHARED / f"sleeps-{scheduler}")]
    hosts = ["--nodes", "2", "--ranks-per-node", "1"]
    first = submit(scheduler, "farm", *hosts, *limit, *words)
    words = ["--", "--samples", "1e6"]
    second = submit(scheduler, "pi", "--dependency", first, *words)
    third = submit(scheduler, "pi", "--dependency", f"any:{first}", *words)
    assert wait(first, "running")["requeues"] == 0
    assert wait(first)["state"] == "stopped"  # after two starts
    assert status(first)["requeues"] == 1
    assert wait(third)["state"] == "done"
    ended = wait(second)
    assert (ended["state"], "is not done" in ended["reason"]) == ("cancelled", True)
    for run in (second, third):
        assert (
            not (SHARED / "logs" / run / "events.jsonl").read_text().count('"requeue"')
        )
    # Both are resubmitted: the second waits for the new job of the first.
    assert "`mpiapps resubmit" in mpiapps("resubmit", second).err
    assert mpiapps("resubmit", first).code == 0
    assert mpiapps("resubmit", second).code == 0
    until(lambda: status(first)["state"] == "running", "the first to start")
    assert status(second)["state"] == "pending"
    assert mpiapps("cancel", first).code == 0
    assert wait(second)["state"] == "cancelled"
    assert not (SHARED / "logs" / second / "record.json").exists()


@pytest.mark.parametrize(
    ("scheduler", "mpi"), [("slurm", "openmpi"), *(("sge", mpi) for mpi in MPIS)]
)
def test_ranks_of_a_cancelled_script_end(scheduler, mpi):
    name = f"sleeps-{scheduler}-{mpi}.py"
    (SHARED / name).write_text(
        "import time\n"
        "from mpi4py import MPI\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    request = ["--nodes", "2", "--ranks-per-node", "2", "--time", "10m"]
    run = submit(scheduler, name, *request, mpi=mpi)
    until(lambda: output(run).count("started") == 4, f"{run} to start")
    assert mpiapps("cancel", run).code == 0
    hosts = ("n1", "n2", "n3")
    until(
        lambda: all(on(host, "pgrep", "-f", name).code == 1 for host in hosts),
        f"the ranks of {run} to end",
        limit=30,
    )


DAEMONS = {"slurm": "slurmctld", "sge": "sge_qmaster"}
# Words of pkill; after `scontrol reconfigure` slurmctld has another name.
PROCESS = {"slurm": ["-F", "/run/slurmctld.pid"], "sge": ["sge_qmaster"]}
# Prints a line for each node that jobs can use: a new daemon waits for their messages.
NODES = ["sinfo", "-h", "-r", "-N", "-p", "main", "-t", "idle,mixed,allocated"]


@contextmanager
def outage(scheduler):
    """End the scheduler's daemon for the block.

    Slurm's commands would wait 10 s each for it.
    """
    conf = CLUSTER / "slurm.conf"
    before = conf.read_text()
    conf.write_text(f"{before}MessageTimeout=2\n")
    assert on("head", "pkill", *PROCESS[scheduler]).code == 0
    try:
        yield
    finally:
        conf.write_text(before)
        on("head", DAEMONS[scheduler])


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_an_outage_is_not_the_end_of_a_run(scheduler):
    stop_file = SHARED / f"until-{scheduler}"
    (SHARED / "until.py").write_text(
        "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.2)\n"
    )
    run = submit(scheduler, "until.py", "--", str(stop_file))
    wait(run, "running")
    with outage(scheduler):
        until(lambda: status(run)["state"] == "no answer", "an outage")
        ended = mpiapps("cancel", run)
        assert ended.code == 78, ended.out
        assert mpiapps("resubmit", run).code == 2
    until(lambda: status(run)["state"] == "running", "an answer")
    if scheduler == "slurm":  # other tests need the hosts
        until(lambda: on("head", *NODES).out.count("\n") == 3, "three nodes")
    stop_file.touch()
    ended = mpiapps("wait", run)
    assert ended.code == 0, (ended.out, ended.err)
