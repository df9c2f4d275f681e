"""Steps of all ranks together: saved where they are, two files in turn."""

from dataclasses import dataclass

import pytest

from mpiapps.app import checkpoint
from mpiapps.app.lockstep import Lockstep
from mpiapps.base import stopping
from mpiapps.base.errors import Stopped

pytestmark = pytest.mark.mpi


@dataclass(frozen=True)
class Options:
    """What decides the result: a tuple becomes a list in JSON."""

    sizes: tuple[int, ...] = (1, 2)


@pytest.fixture
def folder(world, tmp_path_factory, monkeypatch):
    """The checkpoint's folder, the same on all ranks; no deadline, no signal."""
    found = world.comm.bcast(tmp_path_factory.mktemp("run"))
    monkeypatch.setattr(stopping, "_warned", False)
    monkeypatch.delenv(stopping.DEADLINE, raising=False)
    checkpoint.choose(str(found / "checkpoint.json"), 1e9)
    yield found
    checkpoint.choose("", 60)


def steps(world, n, asked=None):
    """Do the steps that are left; return all that were ever done."""
    saved = checkpoint.load(world, "steps", Options())
    done = list(saved.state["done"]) if saved else []
    stops = Lockstep(world, "steps", Options(), saved)

    def save(path):
        if world.is_root:
            path.write_text(str(len(done)))
        return {"done": done}

    for step in range(len(done), n):
        done.append(step)
        if asked is not None:
            asked(step)
        if step < n - 1:
            stops.at(len(done) / n, save)
    return done


def test_one_rank_that_is_warned_stops_all_and_all_go_on(world, folder, monkeypatch):
    def asked(step):
        if step % 2 and world.rank == world.size - 1:
            monkeypatch.setattr(stopping, "_warned", True)

    for stop in (2, 4, 6):
        with pytest.raises(Stopped, match="done, which is saved"):
            steps(world, 7, asked)
        monkeypatch.setattr(stopping, "_warned", False)
        saved = checkpoint.load(world, "steps", Options())
        assert saved.state["done"] == list(range(stop))
        # What the checkpoint names was not touched by the save after it.
        assert checkpoint.beside(saved.state["turn"]).read_text() == str(stop)
        world.comm.Barrier()
    assert steps(world, 7) == list(range(7))
    if world.is_root:
        checkpoint.discard()
        assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("folder")
def test_saves_between_stop_nothing(world, monkeypatch):
    monkeypatch.setattr(checkpoint, "_every", 0.0)
    assert steps(world, 5) == list(range(5))
    saved = checkpoint.load(world, "steps", Options())
    assert 1 <= len(saved.state["done"]) < 5


def test_without_a_file_a_warning_stops_nothing(world, monkeypatch):
    monkeypatch.setattr(stopping, "_warned", True)
    assert steps(world, 3) == [0, 1, 2]
