"""Kernels compile for a device: what the simulator, which runs Python, does not show.

Up to LLVM's code: the compiler after that is NVVM, which is not in this environment, so
a stand-in has its constants.
"""

from types import SimpleNamespace

import pytest
from numba import types

from mpiapps.device import cuda, darts, text

COMPUTE_CAPABILITY = (9, 0)
WORD, LONG = types.uint32, types.uint64
INT = types.int64
KERNELS = {
    "start": (cuda._do_nothing, ()),
    "darts": (darts._KERNELS[False], (WORD, WORD, LONG, LONG, LONG[::1])),
    "wide darts": (darts._KERNELS[True], (WORD, WORD, LONG, LONG, LONG[::1])),
    "text": (
        text._count_parts,
        (types.uint8[::1], INT, INT, INT, LONG[::1], INT[::1], INT[:, ::1]),
    ),
}


@pytest.fixture
def stand_in(monkeypatch):
    from numba.cuda import dispatcher
    from numba.cuda.cudadrv import nvvm

    constants = SimpleNamespace(
        data_layout=nvvm._datalayout_i128, get_ir_version=lambda: (2, 0, 3, 1)
    )
    device = SimpleNamespace(compute_capability=COMPUTE_CAPABILITY)
    monkeypatch.setattr(nvvm, "NVVM", lambda: constants)
    monkeypatch.setattr(dispatcher, "get_current_device", lambda: device)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_compiles_for_a_device(name):
    from numba.cuda.compiler import compile_cuda

    kernel, arguments = KERNELS[name]
    compiled = compile_cuda(
        *(kernel.py_func, types.void, arguments),
        nvvm_options={"opt": 3},
        cc=COMPUTE_CAPABILITY,
    )
    code = "".join(map(str, compiled.library.modules))
    assert "define" in code
    # numba makes float64 of uint64 and int64 together: other bits above 2**53.
    assert "double" not in code
