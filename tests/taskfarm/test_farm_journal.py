"""What the journals of a farm and of its parts say together."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from mpiapps.base.errors import InputError
from mpiapps.storage.journal import Journal
from mpiapps.taskfarm.farm_journal import HEADER, FarmJournal

ROOT, OTHER = SimpleNamespace(is_root=True), SimpleNamespace(is_root=False, rank=1)


def attempt(task, code, number=1, reason=""):
    return {"task": task, "code": code, "attempt": number, "reason": reason}


def write(path, *records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with Journal(path, HEADER) as journal:
        for record in records:
            journal.add(record)


def opened(directory, part=""):
    return FarmJournal(directory, part, force_unlock=False).open(ROOT)


# Records of the own journal, of the part's, and whether the task is done.
CASES = [
    ([attempt("a", 1)], [attempt("a", 0)], True),
    ([attempt("a", 0)], [attempt("a", 1)], True),
    ([attempt("a", 1)], [attempt("a", 1)], False),
    ([attempt("a", 0), attempt("a", 1, 2)], [], False),
    ([attempt("a", 1), attempt("a", 0, 2)], [], True),
    ([attempt("a", 0), attempt("a", -15, 2, "stopped")], [], True),
]


@pytest.mark.parametrize(("own", "part", "done"), CASES)
def test_a_task_that_was_done_anywhere_is_done(tmp_path, own, part, done):
    write(tmp_path / "journal", *own)
    write(tmp_path / "part-1" / "journal", *part)
    with opened(tmp_path) as journal:
        assert ("a" in journal.recorded()) == done


def test_attempts_are_numbered_over_all_runs(tmp_path):
    write(tmp_path / "journal", attempt("a", 1), attempt("a", 1, 2))
    with opened(tmp_path) as journal:
        number, log = journal.next_attempt("a")
        assert (number, Path(log).name) == (3, "a.3")
        journal.skip_attempt("a")  # its host is lost, and its log is kept
        assert journal.next_attempt("a")[0] == 4
        assert journal.next_attempt("b")[0] == 1


def test_only_the_root_has_a_journal(tmp_path):
    journal = FarmJournal(tmp_path / "run", "", force_unlock=False).open(OTHER)
    with journal:
        journal.add("a", attempt("a", 0))
    assert not (tmp_path / "run").exists()


def test_a_damaged_part_is_an_error(tmp_path):
    (tmp_path / "part-2").mkdir()
    (tmp_path / "part-2" / "journal").write_text("no journal\n")
    with pytest.raises(InputError, match="damaged"):
        opened(tmp_path)
