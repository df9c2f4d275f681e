"""The status of a farm counts the journal records of the tasks in its list."""

from types import SimpleNamespace

import pytest

from mpiapps.base.deadline import Deadline
from mpiapps.storage.journal import Journal, read
from mpiapps.taskfarm import status
from mpiapps.taskfarm.attempt_queue import AttemptQueue, TaskAttempt
from mpiapps.taskfarm.farm_journal import HEADER, FarmJournal
from mpiapps.taskfarm.host_runner import as_record
from mpiapps.taskfarm.slot_executor import as_result
from mpiapps.taskfarm.task_list import by_identity, part_of, read_list
from mpiapps.taskfarm.task_process import TaskExit


@pytest.fixture
def clock(monkeypatch):
    """A fake clock, as a list of one number."""
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@pytest.fixture
def farm(tmp_path, clock):
    """Return a function that simulates a run; `codes` are exit codes by command."""

    def simulate(lines, part="", number=10**9, seconds=1.0, **codes):
        listed = by_identity(read_list(lines))
        names = [name for name in listed if name in part_of(listed, part)]
        tasks = [listed[name] for name in names]
        journal = FarmJournal(tmp_path, part, force_unlock=True)
        started = []
        with journal.open(SimpleNamespace(is_root=True)):
            pending = [n for n, i in enumerate(names) if i not in journal.recorded()]
            queue = AttemptQueue(tasks, pending, [1], Deadline(), 10)
            journal.begin(listed, len(names), len(pending))
            while len(started) < number and (assignment := queue.next()) is not None:
                clock[0] += seconds
                name, task = names[assignment[0]], tasks[assignment[0]]
                attempt, log = journal.next_attempt(name)
                task_exit = TaskExit(codes.get(task.command, 0), "", seconds)
                record = as_record(TaskAttempt(name, attempt, task, log), task_exit)
                journal.add(name, as_result(queue, assignment[0], record))
                started.append(task.command)
        return started

    return simulate


LINES = [f"t{n}" for n in range(12)]


def counts(directory):
    values = status.summary(directory)
    return values["tasks"], values["done"], values["failed"], values["left"]


def test_edited_list_counts_only_its_tasks(farm, tmp_path):
    farm(LINES)
    farm([*LINES[:2], *(f"new{n}" for n in range(8))], number=0)
    assert counts(tmp_path) == (10, 2, 0, 8)


@pytest.mark.parametrize("step", [1.0, -100.0])
def test_last_record_counts_even_if_the_clock_went_back(farm, tmp_path, clock, step):
    farm(["a", "b"], a=1)
    clock[0] += step
    assert farm(["a", "b"]) == ["a"]
    assert counts(tmp_path) == (2, 2, 0, 0)
    assert status.summary(tmp_path, now=0.0)["idle"] == 0


def test_task_with_retries_left_has_not_failed(farm, tmp_path):
    farm(["a #: retries=1", "b"], a=1, number=2)
    assert counts(tmp_path) == (2, 1, 0, 1)


def test_parts_are_counted_separately(farm, tmp_path):
    for n in range(1, 4):
        farm(LINES, part=f"{n}/4")
        assert counts(tmp_path) == (12, 3 * n, 0, 12 - 3 * n)
    assert counts(tmp_path / "part-2") == (3, 3, 0, 0)


@pytest.mark.parametrize(("before", "after"), [(3, 3), (3, 4), (4, 1), (1, 5)])
def test_parts_of_edited_list_run_only_new_tasks(farm, before, after):
    for n in range(before):
        farm(LINES, part=f"{n + 1}/{before}" if before > 1 else "")
    edited = ["new1", *reversed(LINES[:6]), "new2", *LINES[7:]]
    started = []
    for n in range(after):
        started += farm(edited, part=f"{n + 1}/{after}" if after > 1 else "")
    assert sorted(started) == ["new1", "new2"]


def test_pauses_between_runs_do_not_change_the_rate(farm, tmp_path, clock):
    farm(LINES, number=2, seconds=3600.0)
    clock[0] += 10**6
    farm(LINES, number=4, seconds=3600.0)
    assert status.summary(tmp_path)["rate"] == pytest.approx(1 / 3600)


def test_attempts_without_log_are_no_errors(tmp_path, farm):
    farm(["a", "b"], a=1)  # nothing was started, so there are no logs
    assert list(status.verify(tmp_path)) == []


def test_journals_of_older_versions_are_read(farm, tmp_path):
    farm(["a", "b"], a=1)
    path = tmp_path / "journal"
    records = [dict(record) for record in read(path).records]
    for record in records:
        if "reason" in record:
            record["why"] = record.pop("reason")
    path.unlink()
    with Journal(path, HEADER) as journal:
        for record in records:
            journal.add(record)
    assert counts(tmp_path) == (2, 1, 1, 0)
    assert [row["reason"] for row in status.table(tmp_path)] == ["", ""]
    assert farm(["a", "b"]) == ["a"]
