"""Farms on three hosts, also with a lost rank and a lost host."""

import pytest

from mpiapps.storage.journal import read
from tests.cluster.hosts import (
    SCHEDULERS,
    SHARED,
    cluster,
    events,
    mpiapps,
    on,
    other_host,
    output,
    record,
    shape,
    status,
    submit,
    until,
    wait,
)

THREE = ["--nodes", "3", "--ranks-per-node", "2"]
SLOTS = 6


def done(directory):
    """Return the records of tasks in the journal."""
    if not (directory / "journal").exists():
        return []
    records = read(directory / "journal").records
    return [record for record in records if "task" in record]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_farm_on_all_hosts(scheduler):
    directory = SHARED / f"farm-{scheduler}"
    tasks = directory.with_suffix(".txt")
    tasks.write_text("".join(f"sleep 0.3; echo {n}\n" for n in range(24)))
    request = shape(scheduler)
    words = ["--", str(tasks), "--directory", str(directory)]
    run = submit(scheduler, "farm", *request, *words)
    assert wait(run)["state"] == "done", output(run)
    assert record(run)["values"]["done"] == 24
    assert len({task["host"] for task in done(directory)}) == int(request[1])
    assert {path.read_text() for path in (directory / "logs").iterdir()} == {
        f"{n}\n" for n in range(24)
    }


def test_an_array_runs_the_parts_of_one_list():
    directory = SHARED / "farm-array"
    tasks = directory.with_suffix(".txt")
    tasks.write_text("".join(f"echo {n} >> {directory}/{n}.out\n" for n in range(10)))
    directory.mkdir()
    words = ["--", str(tasks), "--directory", str(directory), "--part", "{index}/3"]
    run = submit("slurm", "farm", "--array", "1-3", *words)
    assert wait(run)["state"] == "done", output(run)
    assert {path.read_text() for path in directory.glob("*.out")} == {
        f"{n}\n" for n in range(10)
    }
    assert "10 of 10 tasks done" in mpiapps("farm", "status", str(directory)).out


def test_a_farm_loses_a_rank_and_then_a_host():
    directory = SHARED / "farm-faults"
    (directory / "out").mkdir(parents=True)
    tasks = directory / "tasks"
    tasks.write_text(
        "".join(f"sleep 0.5; echo {n} >> {directory}/out/{n}\n" for n in range(120))
    )
    words = ["--time", "10m", "--", str(tasks), "--directory", str(directory)]
    run = submit("slurm", "farm", *THREE, *words)
    until(lambda: len(done(directory)) >= 20, "20 tasks to be done")
    assert on(other_host(run), "pkill", "-9", "-f", "mpiapps.farm ").code == 0
    assert wait(run)["state"] == "failed", output(run)
    before = {task["task"] for task in done(directory)}
    again = mpiapps("resubmit", run)
    assert again.code == 0, again.err
    until(lambda: len(done(directory)) >= len(before) + 20, "20 more")
    lost = other_host(run)
    cluster("cut", lost)
    starts = len(events(run, '"start"'))
    until(
        lambda: (
            len(events(run, '"start"')) > starts or status(run)["state"] == "pending"
        ),
        "Slurm to notice",
    )
    cluster("join", lost)
    ended = wait(run, limit=200)
    assert ended["state"] == "done", (ended, output(run))
    assert record(run)["values"]["done"] == 120
    names = [task["task"] for task in done(directory)]
    assert len(names) == len(set(names)) == 120  # no recorded task ran again
    times = [len((directory / "out" / f"{n}").read_text().split()) for n in range(120)]
    assert min(times) == 1
    assert sum(times) - 120 <= 2 * SLOTS
