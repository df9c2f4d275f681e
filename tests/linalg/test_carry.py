"""Panels come whole, by messages and by memory of the host."""

import numpy as np
import pytest

from mpiapps.linalg import carry
from mpiapps.linalg.choose import grids
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.schedule import WIDTH


@pytest.fixture
def made(monkeypatch):
    """Share memory for any size; tell which carriers were made."""
    kinds = []
    plain = carry.carrier

    def noted(*words):
        found = plain(*words)
        kinds.append(type(found))
        return found

    monkeypatch.setattr(carry, "LEAST", 0)
    monkeypatch.setattr("mpiapps.linalg.multiply.carrier", noted)
    return kinds


@pytest.mark.mpi
# Many panels: each slot is used again while others are still being read.
@pytest.mark.parametrize("k", [1, WIDTH - 1, 5 * WIDTH + 7, 9 * WIDTH])
@pytest.mark.parametrize("dtype", ["f4", "c16"])
def test_products_are_the_same_by_memory_as_by_messages(
    world, made, monkeypatch, k, dtype
):
    comm = world.comm
    one_host = world.local_size == world.size
    m, n = 13, 8
    a = DistMatrix.random(comm, (m, k), 1, dtype)
    b = DistMatrix.random(comm, (k, n), 2, dtype)
    for grid in grids(comm.size):
        made.clear()
        shared = multiply(a, b, grid=grid)
        if comm.rank < grid.size and grid.pm * grid.pn > 1:
            assert (carry.Shared in made) == one_host
        with monkeypatch.context() as patch:
            patch.setattr(carry, "LEAST", 2**62)
            sent = multiply(a, b, grid=grid)
        np.testing.assert_array_equal(shared.local, sent.local)


@pytest.mark.mpi
@pytest.mark.usefixtures("made")
def test_a_host_without_room_gets_messages(comm, monkeypatch):
    monkeypatch.setattr(carry, "WHERE", "/not/there")
    duplicate = comm.Dup()
    found = carry.carrier(duplicate, np.dtype("f8"), 10, 10)
    assert isinstance(found, carry.Broadcasts)
    duplicate.Free()


@pytest.mark.mpi
@pytest.mark.usefixtures("made")
def test_memory_grows_and_goes_with_its_communicator(comm):
    for size in (10, 1000, 100, 100_000) if comm.size > 1 else ():
        duplicate = comm.Dup()
        for each in (size, 2 * size):
            found = carry.carrier(duplicate, np.dtype("f8"), each, each)
            part = found.take(0, each)
            if comm.rank == comm.size - 1:
                part[...] = np.arange(each)
            for request in found.begin([(part, comm.size - 1)]):
                request.Wait()
            found.arrived()
            np.testing.assert_array_equal(part, np.arange(each))
            duplicate.Barrier()
        del found, part
        duplicate.Free()
