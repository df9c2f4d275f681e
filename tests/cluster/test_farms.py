"""A farm over three hosts, which loses a rank, and then a host."""

import pytest

from mpiapps.storage.journal import read
from tests.cluster.hosts import (
    PLACE,
    SCHEDULERS,
    cluster,
    events,
    mpiapps,
    on,
    other,
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


def done(where):
    """Return the tasks that the journal tells are done."""
    if not (where / "journal").exists():
        return []
    return [each for each in read(where / "journal").records if "task" in each]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_farm_over_three_hosts(scheduler):
    where = PLACE / f"farm-{scheduler}"
    tasks = where.with_suffix(".txt")
    tasks.write_text("".join(f"sleep 0.3; echo {n}\n" for n in range(24)))
    asked = shape(scheduler)
    words = ["--", str(tasks), "--directory", str(where)]
    run = submit(scheduler, "farm", *asked, *words)
    assert wait(run)["state"] == "done", output(run)
    assert record(run)["values"]["done"] == 24
    assert len({each["host"] for each in done(where)}) == int(asked[1])
    assert {path.read_text() for path in (where / "logs").iterdir()} == {
        f"{n}\n" for n in range(24)
    }


def test_an_array_is_the_same_list_in_parts():
    where = PLACE / "farm-array"
    tasks = where.with_suffix(".txt")
    tasks.write_text("".join(f"echo {n} >> {where}/{n}.out\n" for n in range(10)))
    where.mkdir()
    words = ["--", str(tasks), "--directory", str(where), "--part", "{index}/3"]
    run = submit("slurm", "farm", "--array", "1-3", *words)
    assert wait(run)["state"] == "done", output(run)
    assert {path.read_text() for path in where.glob("*.out")} == {
        f"{n}\n" for n in range(10)
    }
    assert "10 of 10 tasks done" in mpiapps("farm", "status", str(where)).out


def test_a_farm_loses_a_rank_and_then_a_host():
    where = PLACE / "farm-faults"
    (where / "out").mkdir(parents=True)
    tasks = where / "tasks"
    tasks.write_text(
        "".join(f"sleep 0.5; echo {n} >> {where}/out/{n}\n" for n in range(120))
    )
    words = ["--time", "10m", "--", str(tasks), "--directory", str(where)]
    run = submit("slurm", "farm", *THREE, *words)
    until(lambda: len(done(where)) >= 20, "20 tasks to be done")
    assert on(other(run), "pkill", "-9", "-f", "mpiapps.farm ").code == 0
    assert wait(run)["state"] == "failed", output(run)
    before = {each["task"] for each in done(where)}
    again = mpiapps("resubmit", run)
    assert again.code == 0, again.err
    until(lambda: len(done(where)) >= len(before) + 20, "20 more")
    lost = other(run)
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
    names = [each["task"] for each in done(where)]
    assert len(names) == len(set(names)) == 120  # none recorded was done again
    times = [len((where / "out" / f"{n}").read_text().split()) for n in range(120)]
    assert min(times) == 1
    assert sum(times) - 120 <= 2 * SLOTS
