"""Measurement of the speed of a rank for the cost model."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.kernels.blas import add_product
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.cost_model import Machine
from mpiapps.linalg.product_choice import WIDTH

REPEATS = 5
ROWS = 2048  # of the gemm operands: large enough for the full speed of BLAS
BANDWIDTH_BYTES, LATENCY_BYTES = 2**24, 8  # message sizes


def calibrate(comm: Ranks) -> Machine:
    """Return the speed of a rank while all ranks are busy. Collective.

    Medians on the slowest rank of five panel products, of five products of a matrix of
    32 MiB and a vector, and of five broadcasts of 16 MiB and of 8 bytes with rotating
    root. Takes about a second.
    """
    comm = communicator(comm)
    rng = np.random.default_rng(comm.rank)
    a, b = rng.random((ROWS, WIDTH)), rng.random((WIDTH, ROWS))
    out = np.zeros((ROWS, ROWS))
    product = _seconds(comm, lambda _: add_product(out, a, b))
    flops = 2 * ROWS * ROWS * WIDTH / product
    x, y = rng.random(ROWS), np.empty(ROWS)

    def read(_: int) -> None:
        np.dot(out, x, out=y)

    reading = out.nbytes / _seconds(comm, read)
    if comm.size == 1:
        return Machine(flops, reading=reading)

    def send(size: int) -> Callable[[int], None]:
        array = np.zeros(size, np.uint8)
        return lambda turn: comm.Bcast(array, root=turn % comm.size)

    latency = _seconds(comm, send(LATENCY_BYTES))
    bandwidth = BANDWIDTH_BYTES / max(
        1e-9, _seconds(comm, send(BANDWIDTH_BYTES)) - latency
    )
    return Machine(flops, bandwidth, latency, reading)


def _seconds(comm: MPI.Intracomm, call: Callable[[int], None]) -> float:
    """Return the median time of a call on the slowest rank. Collective."""
    call(0)
    seconds = []
    for turn in range(REPEATS):
        comm.Barrier()
        start = time.perf_counter()
        call(turn)
        seconds.append(time.perf_counter() - start)
    return float(comm.allreduce(median(seconds), op=MPI.MAX))
