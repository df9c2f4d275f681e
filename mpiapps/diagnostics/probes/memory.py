"""Probe of copies between the memory of processes."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterator

from mpiapps.diagnostics.probe import LIKELY, WARNING, Finding, NotApplicable, probe
from mpiapps.diagnostics.system import System

REMEDY = {
    "Open MPI": "OMPI_MCA_smsc=^cma OMPI_MCA_btl_vader_single_copy_mechanism=none",
    "MPICH": "MPIR_CVAR_CH4_CMA_ENABLE=0",
    "Intel MPI": "I_MPI_SHM_CMA=0",
}


@probe(
    "cross-memory",
    examines="process_vm_readv on another process, and ptrace_scope",
    symptom="`Read -1, expected ...`, `Operation not permitted`",
)
def cross_memory(system: System) -> Iterator[Finding]:
    """Find a host on which ranks must not read each other's memory, by reading."""
    scope = system.read("/proc/sys/kernel/yama/ptrace_scope").strip()
    settings = REMEDY.get(system.library.family, REMEDY["Open MPI"])
    names = [text.partition("=")[0] for text in settings.split()]
    if any(name in system.environ for name in names):
        raise NotApplicable(f"{names[0]} is set")
    reason = _read_sibling()
    if not reason:
        return
    yield Finding(
        WARNING,
        f"process_vm_readv on a process of the same user: {reason}"
        + (f"; kernel.yama.ptrace_scope={scope}" if scope else ""),
        "Ranks of one host cannot copy large messages directly; Open MPI prints `Read"
        " -1` and fails.",
        f"export {settings} (mpiapps run does it where a filter forbids the call);"
        " or docker run --cap-add=SYS_PTRACE, sysctl kernel.yama.ptrace_scope=0",
        LIKELY,
    )


def _read_sibling() -> str:
    """Read a byte of a sibling process; return the error, or an empty text.

    Siblings, as ranks are: a process may always read its own children.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    call = getattr(libc, "process_vm_readv", None)
    if call is None:
        return "not in this C library"
    source = ctypes.create_string_buffer(b"x", 1)  # at one address in all children
    target = ctypes.create_string_buffer(1)
    ready, idle = os.pipe()
    sleeper = os.fork()
    if sleeper == 0:
        os.close(idle)
        os.read(ready, 1)  # until the parent closes its end
        os._exit(0)
    reader = os.fork()
    if reader == 0:
        os.close(idle)
        vectors = [
            (ctypes.c_size_t * 2)(ctypes.addressof(b), 1) for b in (target, source)
        ]
        count = call(sleeper, vectors[0], 1, vectors[1], 1, 0)
        os._exit(0 if count == 1 else min(ctypes.get_errno(), 254) or 255)
    _, status = os.waitpid(reader, 0)
    os.close(idle)
    os.close(ready)
    os.kill(sleeper, signal.SIGKILL)
    os.waitpid(sleeper, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"killed by signal {-code}"
    return os.strerror(code) if code else ""
