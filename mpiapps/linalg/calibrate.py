"""What one rank of this machine does: measured, for plans."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from mpiapps.comm.mpi import MPI
from mpiapps.kernels.blas import add_product
from mpiapps.linalg.plan import Machine
from mpiapps.linalg.schedule import WIDTH

REPEATS = 5
ROWS = 2048  # of the products: large enough for the full speed of BLAS
LARGE, SMALL = 2**24, 8  # bytes of the messages for bandwidth and for latency


def calibrate(comm: MPI.Intracomm) -> Machine:
    """Return what a rank does while all others do the same. Collective.

    The median of five products of a panel, and of broadcasts of 16 MiB and of 8 bytes
    from each rank in turn; the slowest rank counts. About a second.
    """
    rng = np.random.default_rng(comm.rank)
    a, b = rng.random((ROWS, WIDTH)), rng.random((WIDTH, ROWS))
    out = np.zeros((ROWS, ROWS))
    product = _seconds(comm, lambda _: add_product(out, a, b))
    flops = 2 * ROWS * ROWS * WIDTH / product
    if comm.size == 1:
        return Machine(flops, Machine.bandwidth, Machine.latency)
    large, small = np.zeros(LARGE, np.uint8), np.zeros(SMALL, np.uint8)

    def send(array: np.ndarray) -> Callable[[int], None]:
        return lambda turn: comm.Bcast(array, root=turn % comm.size)

    latency = _seconds(comm, send(small))
    bandwidth = LARGE / max(1e-9, _seconds(comm, send(large)) - latency)
    return Machine(flops, bandwidth, latency)


def _seconds(comm: MPI.Intracomm, call: Callable[[int], None]) -> float:
    """Return the median time of a call on the slowest rank. Collective."""
    call(0)
    found = []
    for turn in range(REPEATS):
        comm.Barrier()
        start = time.perf_counter()
        call(turn)
        found.append(time.perf_counter() - start)
    return float(comm.allreduce(median(found), op=MPI.MAX))
