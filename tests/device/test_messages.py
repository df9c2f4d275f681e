"""Messages of device arrays: each way, and the waits for kernels before them."""

import numpy as np
import pytest

from mpiapps.base.errors import UsageError
from mpiapps.comm import device_messages as module
from mpiapps.comm.device_messages import DeviceBuffers, chosen_way, device_messages
from tests.device.nccl_stand_in import Nccl

pytestmark = [pytest.mark.mpi, pytest.mark.usefixtures("cupy")]
every_way = pytest.mark.usefixtures("messages")


@every_way
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 5)])
@pytest.mark.parametrize("dtype", ["f4", "c16", "i4"])
def test_broadcasts_complete_in_any_order_of_roots(cupy, ranks, shape, dtype):
    messages = device_messages(ranks)
    arrays, waits = [], []
    for root in range(ranks.size):
        array = cupy.empty((2, *shape), dtype)
        if ranks.rank == root:
            array[...] = root + 1
        waits.append(messages.start_bcast(array, root))
        arrays.append(array)
    for wait in waits:
        wait()
    for root, array in enumerate(arrays):
        assert (array.get() == root + 1).all()


@every_way
@pytest.mark.parametrize("sizes", [(4, 4), (0, 3)])
def test_exchanges_around_a_ring(cupy, ranks, sizes):
    size = sizes[ranks.rank % 2] if ranks.size % 2 == 0 else 4
    other = sizes[(ranks.rank + 1) % 2] if ranks.size % 2 == 0 else 4
    out, into = cupy.empty(size), cupy.empty(other)
    out[...] = ranks.rank
    to, source = (ranks.rank + 1) % ranks.size, (ranks.rank - 1) % ranks.size
    if ranks.size > 1:
        device_messages(ranks).exchange(to, out, source, into)
        assert (into.get() == source).all()


@every_way
def test_a_message_in_chunks(cupy, ranks, monkeypatch):
    monkeypatch.setattr("mpiapps.comm.chunking.MAX_MESSAGE_BYTES", 16)
    array = cupy.empty(9)
    if ranks.rank == 0:
        array[...] = 7
        for dest in range(1, ranks.size):
            device_messages(ranks).send(array, dest)
    else:
        device_messages(ranks).recv(array, 0)
    assert (array.get() == 7).all()


def broadcast_after_kernels(cupy, comm, messages):
    """Return what arrived, and what a kernel read that was started before.

    The kernels write the array on the root, and read it on the others.
    """
    array, copy = cupy.empty(5), cupy.empty(5)
    array[...] = 0
    cupy.synchronize()
    cupy.delayed = True
    copy[...] = array  # must read what was there before the message
    if comm.rank == 0:
        array[...] = 3  # must be written before the message
    messages.start_bcast(array, 0)()
    return array.get(), copy.get()


@every_way
def test_a_message_is_sent_after_the_kernels_before_it(cupy, ranks):
    arrived, read = broadcast_after_kernels(cupy, ranks, device_messages(ranks))
    assert (arrived == 3).all()
    assert (read == 0).all()


def test_the_stand_in_shows_a_missing_synchronisation(cupy, ranks, monkeypatch):
    monkeypatch.setattr(module, "synchronize", lambda _: None)
    arrived, read = broadcast_after_kernels(cupy, ranks, DeviceBuffers(ranks))
    if ranks.rank > 0:  # an old value, and then the kernel that reads too late
        assert (arrived == 0).all()
        assert (read == arrived).all()


def test_staging_costs_one_transfer_of_a_rank(cupy, ranks):
    array = cupy.empty((3, 4))
    cupy.counts.clear()
    device_messages(ranks).start_bcast(array, 0)()
    sent = ranks.rank == 0
    assert (cupy.counts["downloads"], cupy.counts["uploads"]) == (sent, not sent)


def test_device_buffers_and_nccl_copy_nothing(cupy, ranks, monkeypatch):
    for way in ("mpi", "nccl"):
        array = cupy.empty((3, 4))
        cupy.counts.clear()
        monkeypatch.setenv(module.VARIABLE, way)
        duplicate = ranks.Dup()
        device_messages(duplicate).start_bcast(array, 0)()
        duplicate.Free()
        assert not cupy.counts["downloads"]
        assert not cupy.counts["uploads"]


@pytest.mark.parametrize("works", [True, False])
def test_the_way_is_chosen_by_what_works_on_all_ranks(cupy, ranks, monkeypatch, works):
    monkeypatch.delenv(module.VARIABLE)
    # Device buffers work on rank 0, and on others if `works`.
    on_this = ranks.rank == 0 or works
    monkeypatch.setattr(module, "_takes_device_buffers", lambda _: on_this)
    monkeypatch.setattr(module, "_DEVICE_BUFFERS", [])
    if ranks.size > 1:  # one device for all ranks
        assert chosen_way(ranks) == ("mpi" if works else "host")
    uuid = f"device {ranks.rank}".encode()
    cupy.cuda.runtime.getDeviceProperties = lambda _: {"uuid": uuid}
    assert chosen_way(ranks) == "nccl"
    nccl = Nccl(cupy, available=ranks.rank != 0)
    monkeypatch.setattr("mpiapps.device.arrays.nccl_module", lambda: nccl)
    assert chosen_way(ranks) == ("mpi" if works or ranks.size == 1 else "host")


def test_an_unknown_way_is_refused(ranks, monkeypatch):
    monkeypatch.setenv(module.VARIABLE, "fast")
    with pytest.raises(UsageError, match="expected one of host, mpi, nccl"):
        device_messages(ranks)


def test_arrays_do_not_become_host_arrays_by_accident(cupy):
    array = cupy.empty(3)
    for convert in (np.asarray, np.sum, lambda x: x + np.ones(3)):
        with pytest.raises(TypeError):
            convert(array)
