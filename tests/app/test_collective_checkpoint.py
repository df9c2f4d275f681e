"""Checkpoints of collective steps, in two alternating slots."""

from dataclasses import dataclass

import pytest

from mpiapps.app.collective_checkpoint import CollectiveCheckpointer
from mpiapps.app.context import RunContext
from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed

pytestmark = pytest.mark.mpi


@dataclass(frozen=True)
class Options:
    """The options that determine the result; a tuple becomes a list in JSON."""

    sizes: tuple[int, ...] = (1, 2)


@pytest.fixture
def directory(world, tmp_path_factory):
    """Return the directory of the checkpoint, equal on all ranks."""
    return world.comm.bcast(tmp_path_factory.mktemp("run"))


def context(world, directory=None, interval=1e9):
    return RunContext.make(
        world,
        "steps",
        Options(),
        checkpoint=str(directory / "checkpoint.json") if directory else "",
        interval=interval,
        deadline=Deadline(environ={}),
    )


def steps(ctx, n, before=None):
    """Do the remaining steps; return all steps done, also before a stop."""
    saved = ctx.checkpoint.load()
    done = list(saved.state["done"]) if saved else []
    checkpointer = CollectiveCheckpointer(ctx.world, ctx.checkpoint, saved)

    def save(path):
        if ctx.world.is_root:
            path.write_text(str(len(done)))
        return {"done": done}

    for step in range(len(done), n):
        done.append(step)
        if before is not None:
            before(step)
        if step < n - 1:
            checkpointer.maybe_save(len(done) / n, save)
    return done


def test_a_signal_on_one_rank_stops_all_and_all_resume(world, directory):
    for stop in (2, 4, 6):
        ctx = context(world, directory)

        def signal(step, ctx=ctx):
            if step % 2 and world.rank == world.size - 1:
                ctx.deadline.stop_requested = True

        with pytest.raises(Checkpointed, match="done, which is saved"):
            steps(ctx, 7, signal)
        saved = ctx.checkpoint.load()
        assert saved.state["done"] == list(range(stop))
        # The next checkpoint does not overwrite the slot of this one.
        assert ctx.checkpoint.data_path(saved.state["slot"]).read_text() == str(stop)
        world.comm.Barrier()
    assert steps(context(world, directory), 7) == list(range(7))
    if world.is_root:
        context(world, directory).checkpoint.discard()
        assert list(directory.iterdir()) == []


def test_periodic_checkpoints_do_not_stop_the_run(world, directory):
    ctx = context(world, directory, interval=0.0)
    assert steps(ctx, 5) == list(range(5))
    saved = ctx.checkpoint.load()
    assert 1 <= len(saved.state["done"]) < 5


def test_without_a_file_a_signal_does_not_stop_the_run(world):
    ctx = context(world)
    ctx.deadline.stop_requested = True
    assert steps(ctx, 3) == [0, 1, 2]
