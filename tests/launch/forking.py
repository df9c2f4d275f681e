"""Ranks that fork: each child ends like one of plain Python."""

import os
import sys

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.comm import open_world
from mpiapps.comm.shared import share
from mpiapps.comm.world import World
from mpiapps.tasks.mpi_pool import MPIPool


def raise_error(_world):
    raise ValueError("boom")


def refuse_input(_world):
    raise InputError("line 7 is not a number")


def exit_5(_world):
    sys.exit(5)


def exit_0(_world):
    sys.exit(0)


def exit_text(_world):
    sys.exit("no more")


def interrupt(_world):
    raise KeyboardInterrupt


EXIT_CODES = {
    raise_error: 1,
    refuse_input: 65,
    exit_5: 5,
    exit_0: 0,
    exit_text: 1,
    interrupt: 130,
}


def fork_in(world, block):
    """Fork a child that raises inside the collective context manager `block`."""
    with block as tasks:
        if not isinstance(block, MPIPool) or tasks is not None:
            child = os.fork()
            if child == 0:
                raise ValueError("boom")
            assert code_of(child) == 1
    world.comm.Barrier()


def code_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    with open_world() as world:
        for end, code in EXIT_CODES.items():
            child = os.fork()
            if child == 0:
                end(world)
            assert code_of(child) == code, end
        fork_in(world, world.agree())
        fork_in(world, world.local_root_first())
        fork_in(world, World(world.comm))
        fork_in(world, share(world, np.zeros(3)))
        fork_in(world, MPIPool(world.comm))
        world.comm.Barrier()
        child = os.fork()  # it ends at the end of the block
    assert code_of(child) == 0
    child = os.fork()  # only the rank finalizes MPI
    if child == 0:
        sys.exit(6)
    assert code_of(child) == 6
    print("reached the end")
