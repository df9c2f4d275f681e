"""Work that stops and goes on: each piece once, with the same bits in the end."""

import json
from dataclasses import dataclass

import pytest

from mpiapps.app import checkpoint
from mpiapps.base import stopping
from mpiapps.base.errors import InputError, ReadWriteError, Stopped

pytestmark = pytest.mark.mpi


@dataclass(frozen=True)
class Options:
    """What decides the result."""

    n: int = 40


@pytest.fixture
def path(world, tmp_path_factory, monkeypatch):
    """The file of this test, the same on all ranks; no deadline, no signal."""
    mine = tmp_path_factory.mktemp("run") / "checkpoint.json"
    found = world.comm.bcast(mine, root=0)
    monkeypatch.setattr(stopping, "_warned", False)
    monkeypatch.delenv(stopping.DEADLINE, raising=False)
    checkpoint.choose(str(found), 1e9)
    yield found
    checkpoint.choose("", 60)


def attempt(world, schedule, stop_after, monkeypatch):
    """Go on until `stop_after` pieces of one rank are done; return sum and state."""
    options = Options()
    saved = checkpoint.load(world, "sums", options)
    before = saved.state["sum"] if saved else 0
    mine = 0

    def state():
        return {"sum": before + world.comm.allreduce(mine)}

    pieces = checkpoint.resumable(
        world, "sums", options, options.n, schedule, saved, state
    )
    for done, piece in enumerate(pieces, 1):
        mine += 3**piece
        if world.rank == world.size - 1 and done == stop_after:
            monkeypatch.setattr(stopping, "_warned", True)
    return before + world.comm.allreduce(mine)


def to_the_end(world, schedule, stop_after, monkeypatch):
    """Return the sum after as many stops as it takes, and how many those were."""
    for stops in range(100):
        try:
            return attempt(world, schedule, stop_after, monkeypatch), stops
        except Stopped:
            monkeypatch.setattr(stopping, "_warned", False)
    raise AssertionError("it does not end")


EXPECTED = sum(3**piece for piece in range(Options().n))


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
@pytest.mark.parametrize("stop_after", [1, 2, 3, 7, 100])
def test_the_sum_is_the_same_however_often_it_stops(
    world, path, schedule, stop_after, monkeypatch
):
    total, stops = to_the_end(world, schedule, stop_after, monkeypatch)
    assert total == EXPECTED
    if stop_after > Options().n:
        assert stops == 0
    world.comm.Barrier()
    if stops:
        assert path.exists()
    world.comm.Barrier()
    if world.is_root:
        checkpoint.discard()
        assert not path.exists()


@pytest.mark.usefixtures("path")
def test_the_deadline_stops_all(world, monkeypatch):
    monkeypatch.setenv(stopping.DEADLINE, "1")
    with pytest.raises(Stopped, match=r"saved in .*; the same command goes on"):
        attempt(world, "static", 0, monkeypatch)
    monkeypatch.delenv(stopping.DEADLINE)
    assert attempt(world, "static", 0, monkeypatch) == EXPECTED


def test_a_save_in_between_stops_nothing(world, path, monkeypatch):
    checkpoint.choose(str(path), 0.0)
    assert attempt(world, "dynamic", 0, monkeypatch) == EXPECTED
    world.comm.Barrier()
    assert json.loads(path.read_text())["stopped"] == 0
    world.comm.Barrier()


def test_without_a_file_a_signal_stops_nothing(world, monkeypatch):
    checkpoint.choose("", 60)
    monkeypatch.setattr(stopping, "_warned", True)
    assert attempt(world, "static", 0, monkeypatch) == EXPECTED
    monkeypatch.setattr(stopping, "_warned", False)


def stop_once(world, path, monkeypatch):
    """Leave a checkpoint, and return its content."""
    monkeypatch.setenv(stopping.DEADLINE, "1")
    with pytest.raises(Stopped):
        attempt(world, "static", 0, monkeypatch)
    monkeypatch.delenv(stopping.DEADLINE)
    content = json.loads(path.read_text())
    world.comm.Barrier()
    return content


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"state": {"sum": 1}}, "is damaged"),
        ({"left": []}, "is damaged"),
        ({"format": 2}, "is of program sums, format 2"),
        ({"program": "pi"}, "is of program pi"),
        ({"digest": None}, "is damaged"),
    ],
    ids=str,
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    world, path, change, says, monkeypatch
):
    content = stop_once(world, path, monkeypatch)
    if world.is_root:
        path.write_text(json.dumps(content | change))
    with pytest.raises(InputError, match=says):
        attempt(world, "static", 0, monkeypatch)
    if world.is_root:  # nothing is lost: it is as it was
        assert json.loads(path.read_text()) == content | change


def test_other_options_are_named(world, path, monkeypatch):
    stop_once(world, path, monkeypatch)
    with pytest.raises(InputError, match="of a run with --n 40; give the same"):
        checkpoint.load(world, "sums", Options(n=41))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\x00"])
def test_what_is_no_checkpoint_is_refused(world, path, text):
    if world.is_root:
        path.write_text(text)
    with pytest.raises(InputError, match="is no checkpoint"):
        checkpoint.load(world, "sums", Options())


def test_a_disk_that_is_full_is_told_on_all_ranks(world, monkeypatch):
    checkpoint.choose("/dev/full", 1e9)
    monkeypatch.setenv(stopping.DEADLINE, "1")
    monkeypatch.setattr(checkpoint, "load", lambda *_: None)
    with pytest.raises(ReadWriteError, match="cannot write /dev/full"):
        attempt(world, "static", 0, monkeypatch)
    checkpoint.choose("", 60)


@pytest.mark.parametrize("name", ["nodir/c", "."])
def test_a_file_that_cannot_be_saved_is_an_error_at_the_start(tmp_path, name):
    checkpoint.choose(str(tmp_path / name), 60)
    try:
        with pytest.raises(ReadWriteError, match="name a file in a folder that exists"):
            checkpoint.see_writable()
    finally:
        checkpoint.choose("", 60)


def test_a_file_that_cannot_be_read_is_not_one_that_is_damaged(path, world):
    """The advice is not to remove it."""
    if world.is_root:
        path.mkdir()
    world.comm.Barrier()
    with pytest.raises(ReadWriteError, match=r"cannot read .*: Is a directory$"):
        checkpoint.load(world, "sums", Options())
