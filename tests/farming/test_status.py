"""What is said of a farm is counted from the lines about the tasks of its list."""

from functools import partial

import pytest

from mpiapps.farming import status
from mpiapps.farming.books import Books
from mpiapps.farming.child import Ended
from mpiapps.farming.here import as_record
from mpiapps.farming.owner import Owner
from mpiapps.farming.tasklist import named, read_list


@pytest.fixture
def clock(monkeypatch):
    """A clock of our own, as a list of one number."""
    now = [1000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@pytest.fixture
def farm(tmp_path, clock):
    """Return what does some tasks of a list, `code` by command, and what it reports."""

    def done(lines, part="", number=10**9, seconds=1.0, **codes):
        tasks = named(read_list(lines))
        books = Books(tasks, tmp_path, [1], partial(Owner), part=part)
        begun = []
        with books:
            while len(begun) < number and (found := books.next()) is not None:
                clock[0] += seconds
                command = found[0].task.command
                code = codes.get(command, 0)
                books.take(as_record(found[0], Ended(code, "", seconds)))
                begun.append(command)
            books.report()
        return begun

    return done


LINES = [f"t{n}" for n in range(12)]


def counts(folder):
    found = status.summary(folder)
    return found["tasks"], found["done"], found["failed"], found["left"]


def test_an_edited_list_counts_its_own_tasks(farm, tmp_path):
    farm(LINES)
    farm([*LINES[:2], *(f"new{n}" for n in range(8))], number=0)
    assert counts(tmp_path) == (10, 2, 0, 8)


@pytest.mark.parametrize("step", [1.0, -100.0])
def test_the_last_line_counts_whatever_the_clock_says(farm, tmp_path, clock, step):
    farm(["a", "b"], a=1)
    clock[0] += step
    assert farm(["a", "b"]) == ["a"]
    assert counts(tmp_path) == (2, 2, 0, 0)
    assert status.summary(tmp_path, now=0.0)["idle"] == 0


def test_what_will_be_begun_again_has_not_failed(farm, tmp_path):
    farm(["a #: retries=1", "b"], a=1, number=2)
    assert counts(tmp_path) == (2, 1, 0, 1)


def test_a_part_is_not_the_whole(farm, tmp_path):
    for n in range(1, 4):
        farm(LINES, part=f"{n}/4")
        assert counts(tmp_path) == (12, 3 * n, 0, 12 - 3 * n)
    assert counts(tmp_path / "part-2") == (3, 3, 0, 0)


@pytest.mark.parametrize(("before", "after"), [(3, 3), (3, 4), (4, 1), (1, 5)])
def test_parts_of_an_edited_list_do_what_is_new_alone(farm, before, after):
    for n in range(before):
        farm(LINES, part=f"{n + 1}/{before}" if before > 1 else "")
    edited = ["new1", *reversed(LINES[:6]), "new2", *LINES[7:]]
    begun = []
    for n in range(after):
        begun += farm(edited, part=f"{n + 1}/{after}" if after > 1 else "")
    assert sorted(begun) == ["new1", "new2"]


def test_a_pause_and_a_wave_are_no_speed(farm, tmp_path, clock):
    farm(LINES, number=2, seconds=3600.0)
    clock[0] += 10**6
    farm(LINES, number=4, seconds=3600.0)
    assert status.summary(tmp_path)["rate"] == pytest.approx(1 / 3600)


def test_an_attempt_that_had_no_log_is_no_fault(tmp_path, farm):
    farm(["a", "b"], a=1)  # nothing was begun, so there are no logs
    assert list(status.verify(tmp_path)) == []
