"""Log lines of ranks: which ranks, one write per event, the names of a program."""

import logging
import sys

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.base.rank_list import check_ranks, parse_ranks
from mpiapps.comm.rank_log import RankHandler, log_to_stderr
from tests.commands import on_ranks

OWN = """
import logging, sys
from dataclasses import dataclass
from mpiapps.app import Program, Result, main

@dataclass(frozen=True)
class Options:
    pass

def run(ctx, options):
    logging.getLogger("other").warning("library")
    for n in range(100):
        logging.getLogger("__main__").info("event %d of %d", n, ctx.world.rank)
    logging.getLogger("own.part").error("failed")
    return Result()

if __name__ == "__main__":
    sys.exit(main(Program("own", "Log.", Options, run)))
"""


class World:
    """The rank of a run on four."""

    rank, size, is_root = 2, 4, False

    def __str__(self):
        return "rank 2 of 4 on node7"


class Writes(list):
    """A stream that keeps each call of `write`."""

    def write(self, text):
        self.append(text)

    def flush(self):
        pass


@pytest.fixture
def logger():
    """A logger of this test alone; the package's gets its settings back."""
    names = ("a_program", "mpiapps")
    before = [(logging.getLogger(n), logging.getLogger(n).propagate) for n in names]
    yield before[0][0]
    for each, propagate in before:
        each.handlers[:] = [h for h in each.handlers if not isinstance(h, RankHandler)]
        each.setLevel(logging.NOTSET)
        each.propagate = propagate


@pytest.mark.usefixtures("logger")
@pytest.mark.parametrize(
    ("level", "ranks", "logged"),
    [
        ("debug", "all", ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ("info", "0,2", ["INFO", "WARNING", "ERROR"]),
        ("error", "2", ["ERROR"]),
        ("debug", "0", ["ERROR"]),
    ],
)
def test_selected_ranks_log_from_a_level_on(level, ranks, logged, monkeypatch):
    monkeypatch.setattr(sys, "stderr", writes := Writes())
    for _ in range(2):  # the second call replaces the first
        log_to_stderr(World(), level, ranks, ["a_program"])
    child = logging.getLogger("a_program.part")
    for name in ("debug", "info", "warning", "error"):
        getattr(child, name)("text %s", name)
    assert [text.split()[1] for text in writes] == logged
    assert all(
        text.endswith(f"rank 2 of 4 on node7: text {text.split()[1].lower()}\n")
        for text in writes
    )


def test_each_line_of_an_event_has_the_rank_in_one_write(logger, monkeypatch):
    monkeypatch.setattr(sys, "stderr", writes := Writes())
    log_to_stderr(World(), "info", "all", ["a_program"])
    try:
        raise ValueError("wrong")
    except ValueError:
        logger.exception("two\nlines")
    (text,) = writes
    lines = text.splitlines()
    assert all(" ERROR rank 2 of 4 on node7: " in line for line in lines)
    assert [line.partition("node7: ")[2] for line in lines[:2]] == ["two", "lines"]
    assert lines[-1].endswith("ValueError: wrong")


@pytest.mark.parametrize("text", ["", "1,", "-1", "0-2", "every", "1 2", "²"])
def test_what_is_not_a_list_of_ranks_is_refused(text):
    with pytest.raises(ValueError, match="write all, or 0,2"):
        check_ranks(text)
    with pytest.raises(UsageError, match=r"--log-ranks: .* write all, or 0,2"):
        parse_ranks(text, 4, "--log-ranks")


def test_ranks_that_do_not_exist_are_refused():
    assert sorted(parse_ranks("3,0,3", 4, "x")) == [0, 3]
    assert list(parse_ranks("all", 3, "x")) == [0, 1, 2]
    with pytest.raises(UsageError, match=r"rank 4 does not exist.* are 0 to 3"):
        parse_ranks("0,4", 4, "--log-ranks")
    with pytest.raises(UsageError, match="level 'loud' is not one of debug"):
        log_to_stderr(World(), "loud")


def test_a_program_of_a_user_logs_by_its_own_names(tmp_path):
    program = tmp_path / "own.py"
    program.write_text(OWN)
    words = ["--log-level", "info", "--log-ranks", "0,2"]
    ended = on_ranks("mpich", 3, str(program), *words)
    assert ended.code == 0, ended.err
    lines = ended.err.splitlines()
    events = [line for line in lines if " INFO " in line]
    assert len(events) == 200
    for rank in (0, 2):
        own = [line for line in events if f" INFO rank {rank} of 3 on " in line]
        assert [line.partition(": event ")[2] for line in own] == [
            f"{n} of {rank}" for n in range(100)
        ]
    assert sum(" ERROR rank " in line for line in lines) == 3
    assert lines.count("library") == 3  # as Python prints it
    ended = on_ranks("mpich", 2, str(program), "--log-ranks", "7")
    assert ended.code == 2
    assert ended.err.count("rank 7 does not exist") == 1
