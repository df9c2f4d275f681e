"""All that runs in numba's simulator, which a process has from its start."""

import json
import sys

from mpiapps.kernels.pi import count_darts
from tests.commands import ROOT, on_ranks, run

SIMULATOR = {"NUMBA_ENABLE_CUDASIM": "1"}


def test_kernels_in_the_simulator():
    file = str(ROOT / "tests" / "device" / "simulated.py")
    done = run([sys.executable, "-m", "pytest", "-q", file], **SIMULATOR)
    assert done.code == 0, done.out


def test_ranks_that_share_a_device_count_the_same_darts():
    argv = ["-m", "mpiapps.pi", "--samples", "403", "--device", "cuda", "--json", "-"]
    done = on_ranks("mpich", 2, *argv, **SIMULATOR)
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["values"]["hits"] == count_darts(0, 0, 0, 403, False)
    assert "2 ranks share a device" in " ".join(record["notes"])


def test_without_a_device_all_ranks_end_with_one_message():
    argv = ["-m", "mpiapps.files", "count", str(ROOT / "README.md"), "--device", "cuda"]
    done = on_ranks("mpich", 2, *argv, CUDA_VISIBLE_DEVICES="")
    assert done.code == 78
    assert done.err.count("no CUDA device is visible") == 1
