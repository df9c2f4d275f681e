from functools import cache

import pytest

from mpiapps.device import arrays
from mpiapps.device.cuda_libraries import CudaLibraries
from mpiapps.kernels.backends import BACKENDS
from tests.device.counting_arrays import CountingModule
from tests.device.nccl_stand_in import Nccl


@pytest.fixture
def cupy(monkeypatch):
    """A stand-in for CuPy, which counts what it does. Messages are staged."""
    module = CountingModule()
    nccl = Nccl(module)
    monkeypatch.setattr(arrays, "nccl_module", lambda: nccl)
    monkeypatch.setenv("MPIAPPS_DEVICE_MESSAGES", "host")
    monkeypatch.setattr(arrays, "cuda_module", cache(lambda: module))
    monkeypatch.setitem(BACKENDS, module.ndarray, CudaLibraries(module))
    return module


@pytest.fixture(params=["host", "mpi", "nccl"])
def messages(request, cupy, monkeypatch):  # noqa: ARG001 - cupy sets the variable before
    """Each way of messages; "device" memory is memory that MPI can read here."""
    monkeypatch.setenv("MPIAPPS_DEVICE_MESSAGES", request.param)
    return request.param


@pytest.fixture
def ranks(comm):
    """A communicator without cached grids and ways of messages."""
    duplicate = comm.Dup()
    yield duplicate
    duplicate.Free()
