"""Runs of several jobs: arrays, chains, runs that wait for others; and outages."""

import pytest

from tests.cluster.hosts import (
    PLACE,
    SCHEDULERS,
    mpiapps,
    on,
    output,
    shape,
    status,
    submit,
    until,
    wait,
)
from tests.commands import MPIS

# A program of a user's own: element 1 ends well, 2 fails once, others sleep.
OWN = """import os, pathlib, sys, time
index, place = sys.argv[1:]
with open(place + index, "a") as stream:
    stream.write("begun\\n")
if index == "2" and not os.path.exists(place + "mended"):
    sys.exit(3)
time.sleep(0 if index in "12" else 600)
"""


def states(found):
    return [each["state"] for each in found["elements"].values()]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_elements_of_an_array_each_have_their_state(scheduler):
    place = str(PLACE / f"{scheduler}-own-")
    (PLACE / "own.py").write_text(OWN)
    asked = ["--array", "1-6%2", "--ranks-per-node", "1", "--time", "10m"]
    run = submit(scheduler, "own.py", *asked, "--", "{index}", place)
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
    # Again: what is done is not done twice, and the old failure is no answer.
    (PLACE / f"{scheduler}-own-mended").touch()
    assert mpiapps("resubmit", run).code == 0
    expected = ["done", "done", "running", "running", "pending", "pending"]
    until(lambda: states(status(run)) == expected, f"{run} to be {expected}")
    assert mpiapps("cancel", run).code == 0
    until(lambda: status(run)["state"] == "cancelled", f"{run} to be cancelled")
    assert (PLACE / f"{scheduler}-own-1").read_text() == "begun\n"
    assert output(run).count("is finished already") == 1


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_run_waits_for_the_whole_of_another_one(scheduler):
    limit = ["--time", "1m", "--signal-delay", "50s", "--max-requeues", "2"]
    words = ["--", "--samples", "1e14", "--checkpoint-every", "1"]
    first = submit(scheduler, "pi", *shape(scheduler), *limit, *words)
    words = ["--", "--samples", "1e6"]
    second = submit(scheduler, "pi", "--dependency", first, *words)
    third = submit(scheduler, "pi", "--dependency", f"any:{first}", *words)
    begun = wait(first, "running")
    assert begun["requeues"] == 0
    assert wait(first)["state"] == "stopped"  # after three starts
    assert status(first)["requeues"] == 2
    assert wait(third)["state"] == "done"
    ended = wait(second)
    assert (ended["state"], "is not done" in ended["reason"]) == ("cancelled", True)
    for run in (second, third):
        assert (
            not (PLACE / "logs" / run / "events.jsonl").read_text().count('"requeue"')
        )
    # Both again: the second waits for the job as which the first goes on now.
    assert "`mpiapps resubmit" in mpiapps("resubmit", second).err
    assert mpiapps("resubmit", first).code == 0
    assert mpiapps("resubmit", second).code == 0
    until(lambda: status(first)["state"] == "running", "the first to begin")
    assert status(second)["state"] == "pending"
    assert mpiapps("cancel", first).code == 0
    assert wait(second)["state"] == "cancelled"
    assert not (PLACE / "logs" / second / "record.json").exists()


@pytest.mark.parametrize(
    ("scheduler", "mpi"), [("slurm", "openmpi"), *(("sge", mpi) for mpi in MPIS)]
)
def test_a_cancelled_script_of_ones_own_leaves_no_rank(scheduler, mpi):
    name = f"sleeps-{scheduler}-{mpi}.py"
    (PLACE / name).write_text(
        "import time\n"
        "from mpi4py import MPI\n"
        "print('begun', flush=True)\n"
        "time.sleep(600)\n"
    )
    asked = ["--nodes", "2", "--ranks-per-node", "2", "--time", "10m"]
    run = submit(scheduler, name, *asked, mpi=mpi)
    until(lambda: output(run).count("begun") == 4, f"{run} to begin")
    assert mpiapps("cancel", run).code == 0
    hosts = ("n1", "n2", "n3")
    until(
        lambda: all(on(host, "pgrep", "-f", name).code == 1 for host in hosts),
        f"the ranks of {run} to end",
        limit=30,
    )


DAEMONS = {"slurm": "slurmctld", "sge": "sge_qmaster"}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_an_outage_is_not_the_end_of_a_run(scheduler):
    until_then = PLACE / f"until-{scheduler}"
    (PLACE / "until.py").write_text(
        "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.2)\n"
    )
    run = submit(scheduler, "until.py", "--", str(until_then))
    wait(run, "running")
    assert on("head", "pkill", DAEMONS[scheduler]).code == 0
    try:
        until(lambda: status(run)["state"] == "no answer", "an outage")
        ended = mpiapps("cancel", run)
        assert ended.code == 78, ended.out
        assert mpiapps("resubmit", run).code == 2
    finally:
        on("head", DAEMONS[scheduler])
    until(lambda: status(run)["state"] == "running", "an answer")
    until_then.touch()
    ended = mpiapps("wait", run)
    assert ended.code == 0, (ended.out, ended.err)
