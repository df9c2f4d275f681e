"""Whether the MPI library takes buffers on CUDA devices, found out by trying it.

Neither a version nor a build option decides it: the transport in use does, and one
without support for CUDA reads the device's address as one of the host, and crashes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import cache

from mpiapps.base.launch_environment import without_rank_variables

LIMIT = 60.0  # s; CUDA, CuPy and MPI start within some seconds on a busy host
# Elements of 4 bytes: a message that is sent at once, and one of 4 MiB, which MPI
# libraries send by other means.
SIZES = (1 << 8, 1 << 20)
NO_CUPY, NO_DEVICE, WRONG = 3, 4, 5  # exit codes of the child
REASONS = {
    NO_CUPY: "CuPy cannot be imported",
    NO_DEVICE: "CuPy finds no CUDA device",
    WRONG: "the received values are wrong",
}
# Without a core file: a crash is an answer.
TRIAL = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
try:
    import cupy
except ImportError:
    sys.exit({NO_CUPY})
try:
    buffers = [(cupy.arange(n, dtype="i4"), cupy.zeros(n, "i4")) for n in {SIZES}]
    cupy.cuda.Device().synchronize()
except Exception as error:
    print(type(error).__name__, error, file=sys.stderr)
    sys.exit({NO_DEVICE})
from mpi4py import MPI
for sent, received in buffers:
    MPI.COMM_SELF.Sendrecv(sent, 0, recvbuf=received)
    if not bool((sent == received).all()):
        sys.exit({WRONG})
"""


@cache
def device_buffers_work() -> bool:
    """Return whether messages of CuPy arrays work with this MPI.

    Local; the result is cached for the process. Call it before the process uses a
    device (one in exclusive-process mode admits no second process), and, where many
    ranks share a host, on one of them, which broadcasts the result.

    Cost: a child process that starts CuPy and MPI, some seconds; no message.
    """
    return not why_not()


def why_not(environ: Mapping[str, str] | None = None, limit: float = LIMIT) -> str:
    """Return why messages of CuPy arrays do not work; empty if they do. Local.

    A child process sends two CuPy arrays to itself (``MPI_Sendrecv``) and compares
    them. It is not a rank of the job, and its crash is an answer like any other.

    Parameters
    ----------
    environ : mapping
        The environment variables; by default those of this process. Those by which a
        launcher marks its ranks are removed.
    limit : float
        Seconds until the child is killed.
    """
    child_environ = without_rank_variables(os.environ if environ is None else environ)
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRIAL],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=child_environ,
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"a message to itself has not ended within {limit:g} s"
    except OSError as error:
        return f"no child process can be started: {error}"
    return _reason(done.returncode, done.stderr)


def _reason(code: int, output: str) -> str:
    if code == 0:
        return ""
    if code < 0:
        return f"a message to itself has crashed ({signal.Signals(-code).name})"
    last = (output.strip().splitlines() or [f"exit code {code}"])[-1]
    reason = REASONS.get(code, "a message to itself has failed")
    return reason if code in (NO_CUPY, WRONG) else f"{reason}: {last}"
