"""Whether the MPI library takes buffers on CUDA devices, found out by trying it.

Neither a version nor a build option decides it: the transport in use does, and one
without support for CUDA reads the device's address as one of the host, and crashes.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from mpiapps.base.launch_environment import without_rank_variables
from mpiapps.base.python_child import run_python

LIMIT = 60.0  # s; CUDA, CuPy and MPI start within some seconds on a busy host
# Elements of 4 bytes: a message that is sent at once, and one of 4 MiB, which MPI
# libraries send by other means.
SIZES = (1 << 8, 1 << 20)
NO_CUPY, NO_DEVICE, WRONG = 3, 4, 5  # exit codes of the child
REASONS = {
    NO_CUPY: "CuPy cannot be imported",
    NO_DEVICE: "CuPy cannot use a device",
    WRONG: "the received values are wrong",
}
START, MESSAGE = "the start of CuPy and MPI", "a message to itself"
SENDING = "sending"  # output of the child before its first message
# Without a core file: a crash is an answer. CuPy wraps an ImportError in one of many
# lines; its cause names the missing library.
TRIAL = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
try:
    import cupy
except ImportError as error:
    print(" ".join(str(error.__cause__ or error).split()), file=sys.stderr)
    sys.exit({NO_CUPY})
try:
    buffers = [(cupy.arange(n, dtype="i4"), cupy.zeros(n, "i4")) for n in {SIZES}]
    cupy.cuda.Device().synchronize()
except Exception as error:
    print(type(error).__name__, error, file=sys.stderr)
    sys.exit({NO_DEVICE})
from mpi4py import MPI
print({SENDING!r}, flush=True)
for sent, received in buffers:
    MPI.COMM_SELF.Sendrecv(sent, 0, recvbuf=received)
    if not bool((sent == received).all()):
        sys.exit({WRONG})
"""


@dataclass(frozen=True)
class Trial:
    """The outcome of messages of CuPy arrays.

    Attributes
    ----------
    reason : str
        Why they do not work; empty if they do.
    was_sent : bool
        Whether MPI was given one; if not, the reason says nothing about MPI.
    """

    reason: str = ""
    was_sent: bool = True


@cache
def device_buffers_work() -> bool:
    """Return whether messages of CuPy arrays work with this MPI.

    Local; the result is cached for the process. Call it before the process uses a
    device (one in exclusive-process mode admits no second process), and, where many
    ranks share a host, on one of them, which broadcasts the result.

    Cost: a child process that starts CuPy and MPI, some seconds; no message.
    """
    return not try_messages().reason


def try_messages(
    environ: Mapping[str, str] | None = None, limit: float = LIMIT
) -> Trial:
    """Try messages of CuPy arrays. Local.

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
        done = run_python(["-c", TRIAL], child_environ, limit)
    except subprocess.TimeoutExpired as expired:
        was_sent = SENDING.encode() in (expired.stdout or b"")
        what = MESSAGE if was_sent else START
        return Trial(f"{what} has not ended within {limit:g} s", was_sent)
    except OSError as error:
        return Trial(f"no child process can be started: {error}", was_sent=False)
    was_sent = SENDING in done.stdout
    return Trial(_reason(done.returncode, done.stderr, was_sent), was_sent)


def _reason(code: int, output: str, was_sent: bool) -> str:
    if code == 0:
        return ""
    what = MESSAGE if was_sent else START
    if code < 0:
        return f"{what} has crashed ({signal.Signals(-code).name})"
    last = (output.strip().splitlines() or [f"exit code {code}"])[-1]
    reason = REASONS.get(code, f"{what} has failed")
    return reason if code == WRONG else f"{reason}: {last}"
