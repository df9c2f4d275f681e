"""Panels come whole, by messages and by memory of the host."""

import numpy as np
import pytest

from mpiapps.linalg import panel_bcast
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.grid_choice import grids
from mpiapps.linalg.multiply import multiply
from mpiapps.linalg.product_choice import WIDTH


@pytest.fixture
def made(monkeypatch):
    """Use shared memory for any size; record the types of the transports."""
    kinds = []
    plain = panel_bcast.panel_transport

    def noted(*words):
        found = plain(*words)
        kinds.append(type(found))
        return found

    monkeypatch.setattr(panel_bcast, "MIN_SHARED_BYTES", 0)
    monkeypatch.setattr("mpiapps.linalg.summa.panel_transport", noted)
    return kinds


@pytest.mark.mpi
# Many panels: each slot is used again while others are still being read.
@pytest.mark.parametrize("k", [1, WIDTH - 1, 5 * WIDTH + 7, 9 * WIDTH])
@pytest.mark.parametrize("dtype", ["f4", "c16"])
def test_shared_memory_and_broadcasts_give_the_same_product(
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
            assert (panel_bcast.SharedMemoryTransport in made) == one_host
        with monkeypatch.context() as patch:
            patch.setattr(panel_bcast, "MIN_SHARED_BYTES", 2**62)
            sent = multiply(a, b, grid=grid)
        np.testing.assert_array_equal(shared.local, sent.local)


@pytest.mark.mpi
@pytest.mark.usefixtures("made")
def test_broadcasts_replace_missing_shared_memory(comm, monkeypatch):
    monkeypatch.setattr(panel_bcast, "SHM_FOLDER", "/not/there")
    duplicate = comm.Dup()
    found = panel_bcast.panel_transport(duplicate, np.dtype("f8"), 10, 10)
    assert isinstance(found, panel_bcast.BroadcastTransport)
    duplicate.Free()


@pytest.mark.mpi
@pytest.mark.usefixtures("made")
def test_windows_grow_and_are_freed_with_the_communicator(comm):
    for size in (10, 1000, 100, 100_000) if comm.size > 1 else ():
        duplicate = comm.Dup()
        for each in (size, 2 * size):
            found = panel_bcast.panel_transport(duplicate, np.dtype("f8"), each, each)
            part = found.get_buffer(0, each)
            if comm.rank == comm.size - 1:
                part[...] = np.arange(each)
            for request in found.start([(part, comm.size - 1)]):
                request.Wait()
            found.complete()
            np.testing.assert_array_equal(part, np.arange(each))
            duplicate.Barrier()
        del found, part
        duplicate.Free()
