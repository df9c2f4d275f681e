from itertools import chain

import numpy as np
import pytest
from mpi4py import MPI

from mpiapps.comm.collectives import allgather
from mpiapps.comm.timers import Timing
from mpiapps.comm.world import World
from mpiapps.tasks.work_sharing import distribute

pytestmark = pytest.mark.mpi


class OwnError(Exception):
    """An error that pickles, with two arguments."""

    def __init__(self, text, number):
        super().__init__(text, number)
        self.number = number


def hosts(world):
    return set(world.comm.allgather(tuple(world.node.allgather(world.rank))))


def test_attributes(world):
    assert world.rank == MPI.COMM_WORLD.rank
    assert world.size == MPI.COMM_WORLD.size
    node_ranks = world.node.allgather(world.rank)  # the ranks of this host
    assert node_ranks[world.local_rank] == world.rank
    assert len(node_ranks) == world.local_size
    assert world.comm.allreduce(1 / len(node_ranks)) == pytest.approx(len(hosts(world)))
    assert world.is_root == (world.rank == 0)
    assert str(world) == f"rank {world.rank} of {world.size} on {world.host}"


def test_messages_do_not_match_those_of_the_given_communicator(world):
    other = (world.rank + 1) % world.size
    before = (world.rank - 1) % world.size
    request = MPI.COMM_WORLD.isend("theirs", dest=other, tag=5)
    ours = world.comm.isend("ours", dest=other, tag=5)
    assert world.comm.recv(source=before, tag=5) == "ours"
    assert MPI.COMM_WORLD.recv(source=before, tag=5) == "theirs"
    request.wait()
    ours.wait()


def test_world_of_a_subcommunicator():
    half = MPI.COMM_WORLD.Split(MPI.COMM_WORLD.rank % 2)
    with World(half) as world:
        assert world.size == half.size
        assert world.comm.allreduce(1) == half.size
    half.Free()


def test_timings_compare_the_ranks(world):
    with world.timed("work"):
        pass
    world.timers.seconds["work"] = float(world.rank + 1)
    if world.rank == 0:
        with world.timed("root alone"):
            pass
        world.timers.seconds["root alone"] = 6.0
    timings = world.timings()
    if world.rank != 0:
        assert timings is None
        return
    mean = (world.size + 1) / 2
    assert timings["work"] == Timing(world.size, mean, world.size / mean - 1)
    assert timings["root alone"].max == 6.0
    assert timings["root alone"].imbalance == world.size - 1


def test_timer_counts_a_block_that_raises(world):
    with pytest.raises(KeyError), world.timed("work"):
        raise KeyError
    assert world.timers.seconds["work"] > 0


@pytest.mark.parametrize("who", ["first", "last", "all"])
def test_agree_raises_the_error_on_all_ranks(world, who):
    guilty = {"first": [0], "last": [world.size - 1], "all": range(world.size)}[who]
    with pytest.raises(OwnError) as caught, world.agree():
        if world.rank in guilty:
            raise OwnError("bad", world.rank)
    assert caught.value.number == guilty[0]
    if world.rank not in guilty:
        note = caught.value.__notes__[0]
        assert note.startswith(f"raised on rank {guilty[0]} of {world.size}")
        assert "raise OwnError" in note
    world.comm.Barrier()


def test_error_that_cannot_be_pickled_keeps_its_text(world):
    class LocalError(Exception):
        pass

    with pytest.raises(Exception, match="only here") as caught, world.agree():
        if world.rank == 0:
            raise LocalError("only here")
    expected = LocalError if world.rank == 0 else RuntimeError
    assert type(caught.value) is expected


def test_agree_without_error(world):
    with world.agree():
        value = 1
    assert world.comm.allreduce(value) == world.size


def test_local_root_goes_first(world):
    order = np.zeros(1, "i8")
    window = MPI.Win.Create(order, comm=world.node)
    with world.local_root_first(needed=world.is_root):  # the root's value counts
        count = np.zeros(1, "i8")
        window.Lock(0)
        window.Fetch_and_op(np.ones(1, "i8"), count, 0)
        window.Unlock(0)
    if world.local_rank == 0:
        assert count[0] == 0
    else:
        assert count[0] > 0
    with world.local_root_first(needed=not world.is_root):
        world.comm.Barrier()  # at the same time; else it would block
    window.Free()


@pytest.mark.parametrize("schedule", ["static", "dynamic"])
def test_each_item_is_distributed_once(world, schedule):
    for n in (0, 1, world.size - 1, world.size, world.size + 1, 100):
        items = list(distribute(world.comm, n, schedule))
        all_items = world.comm.allgather(items)
        assert sorted(chain.from_iterable(all_items)) == list(range(n))
        if schedule == "static":
            assert items == list(range(world.rank, n, world.size))


def test_unknown_schedule(world):
    with pytest.raises(ValueError, match="static, dynamic"):
        next(distribute(world.comm, 3, "guided"))


def test_a_function_takes_a_communicator_or_a_world(world):
    for ranks in (world, world.comm):
        assert allgather(ranks, np.array([world.rank])).tolist() == [*range(world.size)]
    with pytest.raises(TypeError, match="expected a communicator or a World, got int"):
        allgather(3, np.array([1]))
