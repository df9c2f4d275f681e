"""Messages of device buffers are tried in a child process, with a stand-in for CuPy."""

import os

import pytest

from mpiapps.device import awareness

pytestmark = pytest.mark.processes

# CuPy's functions that the trial calls, on arrays of the host.
WORKING = """
from numpy import arange, zeros

class cuda:
    class Device:
        def synchronize(self):
            pass
"""
CRASHING = f"""{WORKING}
import os, signal

class Buffer:
    # MPI reads the address of a buffer from this attribute
    @property
    def __cuda_array_interface__(self):
        os.kill(os.getpid(), signal.SIGSEGV)

def arange(*args, dtype):
    return Buffer()
"""
HANGING = f"""{WORKING}
import time

class Buffer:
    @property
    def __cuda_array_interface__(self):
        time.sleep(3600)

def arange(*args, dtype):
    return Buffer()
"""
LOSING = f"""{WORKING}
def arange(n, dtype):
    class Lost(type(zeros(0))):
        def __eq__(self, other):
            return zeros(1, bool)
    return zeros(n, dtype).view(Lost)
"""
NO_DEVICE = f"""{WORKING}
def arange(*args, dtype):
    raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
"""
SLOW = "import time; time.sleep(3600)"
UNLOADABLE = """
try:
    raise OSError("libcublas.so.12: cannot open shared object file")
except OSError as error:
    raise ImportError("=====\\nFailed to import CuPy.\\n=====") from error
"""
MISSING = "raise ModuleNotFoundError('No module named cupy', name='cupy')"


@pytest.fixture
def cupy(tmp_path, monkeypatch):
    """Return a function that puts a stand-in for CuPy on the path of the child."""
    inherited = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{inherited}")
    awareness.device_buffers_work.cache_clear()
    yield (tmp_path / "cupy.py").write_text
    awareness.device_buffers_work.cache_clear()


def test_device_buffers_work_once_they_arrive_and_the_result_is_kept(cupy):
    cupy(WORKING)
    assert awareness.device_buffers_work() is True
    cupy(MISSING)
    assert awareness.device_buffers_work() is True


@pytest.mark.parametrize(
    ("module", "reason", "was_sent"),
    [
        (CRASHING, "a message to itself has crashed (SIGSEGV)", True),
        (LOSING, "values are wrong", True),
        (NO_DEVICE, "cannot use a device: RuntimeError cudaErrorNoDevice", False),
        (MISSING, "CuPy cannot be imported: No module named cupy", False),
        (UNLOADABLE, "imported: libcublas.so.12: cannot open shared", False),
    ],
)
def test_what_does_not_work_has_its_reason(cupy, module, reason, was_sent):
    cupy(module)
    trial = awareness.try_messages()
    assert reason in trial.reason
    assert trial.was_sent is was_sent
    assert awareness.device_buffers_work() is False


@pytest.mark.parametrize(("module", "was_sent"), [(HANGING, True), (SLOW, False)])
def test_a_child_that_hangs_is_killed(cupy, module, was_sent):
    cupy(module)
    trial = awareness.try_messages(limit=4)
    assert "within 4 s" in trial.reason
    assert trial.was_sent is was_sent


def test_the_child_is_not_a_rank_of_the_job(cupy, tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    cupy(f"{WORKING}\nimport os\nopen({str(seen)!r}, 'w').write(' '.join(os.environ))")
    launcher = ("PMIX_RANK", "PMI_RANK", "OMPI_COMM_WORLD_SIZE", "SLURM_PROCID")
    for name in launcher:
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("OMPI_MCA_btl", "self")
    assert awareness.try_messages() == awareness.Trial()
    names = seen.read_text().split()
    assert not set(launcher) & set(names)
    assert "OMPI_MCA_btl" in names


@pytest.mark.mpi(min_size=2)
def test_ranks_try_it_outside_their_world(cupy):
    cupy(WORKING)
    assert awareness.device_buffers_work() is True
