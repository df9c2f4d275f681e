"""Messages above 2 GiB, where calls of the libraries fail."""

import numpy as np
import pytest
from mpi4py import MPI

from mpiapps.comm.collectives import allgather, bcast, gather, scatter

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

N = 2**31 + 1000  # bytes; as int8 elements and as displacement beyond an int


# A prime period, so that shifts by powers of two are detected. Made once: to make the
# expected bytes of each comparison would take longer than the messages.
PERIOD, STEP = 251, 2**26
TILE = np.resize(np.arange(PERIOD, dtype=np.uint8), STEP + PERIOD)


def pattern(start, count):
    """Return bytes that depend on their position."""
    array = np.empty(count, np.uint8)
    for offset in range(0, count, STEP):
        piece = array[offset : offset + STEP]
        piece[:] = TILE[(start + offset) % PERIOD :][: len(piece)]
    return array


def assert_pattern(array, start=0):
    for offset in range(0, len(array), STEP):
        piece = array[offset : offset + STEP]
        expected = TILE[(start + offset) % PERIOD :][: len(piece)]
        assert (piece == expected).all(), offset


def test_bcast_above_2_gib(comm):
    received = bcast(comm, pattern(0, N) if comm.rank == 0 else None)
    assert received.nbytes == N
    assert_pattern(received)


def test_scatter_and_gather_with_a_displacement_above_2_gib(comm):
    # The last rank's block begins beyond 2**31 bytes.
    counts = [N - 5, *[0] * (comm.size - 2), 5] if comm.size > 1 else [N]
    block = scatter(comm, pattern(0, N) if comm.rank == 0 else None, counts)
    assert_pattern(block, sum(counts[: comm.rank]))
    whole = gather(comm, block)
    if comm.rank == 0:
        assert_pattern(whole)


def test_allgather_above_2_gib(comm):
    length = N // comm.size + 1
    whole = allgather(comm, pattern(comm.rank * length, length))
    assert_pattern(whole)


def test_block_above_2_gib(comm):
    counts = [0] * comm.size
    counts[-1] = N
    block = scatter(comm, pattern(0, N) if comm.rank == 0 else None, counts)
    assert len(block) == counts[comm.rank]
    assert_pattern(block)


def test_objects_above_2_gib(world):
    if world.size == 1:
        return
    if world.rank == 0:
        world.objects.send({"data": pattern(0, N)}, dest=1)
    elif world.rank == 1:
        assert_pattern(world.objects.recv(source=0)["data"])


def test_plain_call_above_2_gib(comm):
    """It fails with Open MPI before 6.0, not with other MPIs."""
    data = np.empty(N, np.uint8)
    open_mpi = MPI.Get_library_version().startswith("Open MPI v5")
    if open_mpi:
        comm.Set_errhandler(MPI.ERRORS_RETURN)
        with pytest.raises(MPI.Exception):
            comm.Bcast(data, root=0)
    else:
        comm.Bcast(data, root=0)
