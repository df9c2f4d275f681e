"""Matrices on GPUs against CuPy alone, all cores of the host, and the device's peak.

    python scripts/bench_gpu_matrix.py
    mpiexec -n 4 python scripts/bench_gpu_matrix.py  # a rank per device, and cuBLASMp

Times are medians over rounds, by CUDA events, of the slowest rank; the first call is
left out. "transfer" is the upload of the operands and the download of the result. CuPy
and NumPy compute on one rank: on its device, and on all cores. cuBLASMp runs if
nvmath-python is installed. The crossover is the least size of those measured from which
on the device is faster than NumPy, with the transfers.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mpiapps.comm import open_world
from mpiapps.comm.world import World
from mpiapps.device import arrays
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.cholesky import cholesky
from mpiapps.linalg.devices import use_device
from mpiapps.linalg.distmatrix import DistMatrix
from mpiapps.linalg.multiply import gram
from mpiapps.linalg.solve import solve

ROOT = Path(__file__).parents[1]
CORES = len(os.sched_getaffinity(0))
SIZES = tuple(2**e for e in range(8, 15))
MAX_NUMPY = 8192  # larger products take minutes on few cores
# Flop/s of dense matrix units, by data sheets: f8, f4, and f4 rounded to TF32.
PEAKS = {
    "H200": (67e12, 67e12, 494e12),
    "H100 80GB HBM3": (67e12, 67e12, 494e12),
    "H100 PCIe": (51e12, 51e12, 378e12),
    "A100": (19.5e12, 19.5e12, 156e12),
}
DTYPES = ("f8", "f4")
Call = Callable[[], object]


@dataclass(frozen=True)
class Operation:
    """An operation of mpiapps, and the same of NumPy or CuPy.

    Attributes
    ----------
    flops : callable
        Of n.
    ours, theirs : callable
        Of one or two matrices, and of the module and two arrays.
    operands : int
        Matrices that are uploaded.
    """

    flops: Callable[[int], float]
    ours: Callable[[DistMatrix, DistMatrix], DistMatrix]
    theirs: Callable[[Any, Any, Any], Any]
    operands: int = 2


OPERATIONS = {
    "multiply": Operation(
        lambda n: 2 * n**3, lambda a, b: a @ b, lambda _, a, b: a @ b
    ),
    "gram": Operation(
        lambda n: float(n**3), lambda a, _: gram(a), lambda _, a, __: a.T @ a, 1
    ),
    "cholesky": Operation(
        lambda n: n**3 / 3,
        lambda a, _: cholesky(a),
        lambda module, a, _: module.linalg.cholesky(a),
        operands=1,
    ),
    "solve": Operation(
        lambda n: (2 / 3 + 2) * n**3,
        lambda a, b: solve(a, b, refinements=0),
        lambda module, a, b: module.linalg.solve(a, b),
    ),
}


def by_events(world: World, call: Call, rounds: int) -> float:
    """Return the median seconds of a call on the slowest rank. Collective."""
    cuda = arrays.cuda_module().cuda
    seconds: list[float] = []
    call()
    for _ in range(rounds):
        world.comm.Barrier()
        begin, end = cuda.Event(), cuda.Event()
        begin.record()
        call()
        end.record()
        end.synchronize()
        elapsed = cuda.get_elapsed_time(begin, end) / 1e3
        seconds.append(world.comm.allreduce(elapsed, op=MPI.MAX))
    return median(seconds)


def by_clock(call: Call, rounds: int) -> float:
    """Return the median seconds of a call on the host. Local."""
    seconds = []
    for _ in range(rounds + 1):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return median(seconds[1:])


@contextmanager
def tf32() -> Iterator[None]:
    """Let CuPy round float32 operands of products to TF32."""
    core = importlib.import_module("cupy._core")
    names = importlib.import_module("cupy._core._routines_linalg")
    old = core.get_compute_type(np.float32)
    core.set_compute_type(np.float32, names.COMPUTE_TYPE_TF32)
    try:
        yield
    finally:
        core.set_compute_type(np.float32, old)


def measure(
    world: World, name: str, dtype: str, n: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Return the times of an operation in s, and its rate. Collective."""
    operation, rounds = OPERATIONS[name], options.rounds
    a, b = (DistMatrix.random(world.comm, (n, n), seed, dtype) for seed in (0, 1))
    a.local[a.row_indices[:, None] == a.col_indices] += n
    if name == "cholesky":
        a = (a + a.T.redistribute(a.layout)) * 0.5
    on_device = [matrix.to_device() for matrix in (a, b)]

    def transfer() -> None:
        for matrix in (a, b)[: operation.operands]:
            matrix.to_device()
        on_device[0].to_host()

    row: dict[str, Any] = {"operation": name, "dtype": dtype, "n": n}
    row["device"] = by_events(world, lambda: operation.ours(*on_device), rounds)
    row["transfer"] = by_events(world, transfer, rounds)
    row["flops"] = operation.flops(n)
    if world.size == 1:
        module, blocks = arrays.cuda_module(), [x.local for x in on_device]
        alone = by_events(world, lambda: operation.theirs(module, *blocks), rounds)
        row["CuPy"] = alone
        if n <= MAX_NUMPY:
            hosts = a.local, b.local
            with threadpool_limits(CORES):
                row["NumPy"] = by_clock(lambda: operation.theirs(np, *hosts), rounds)
    if name == "multiply" and importlib.util.find_spec("nvmath"):
        row["cuBLASMp"] = by_events(world, cublasmp(world, n, dtype), rounds)
    return row


def measure_tf32(world: World, n: int, rounds: int) -> dict[str, Any]:
    """Return the time of CuPy's product in TF32, which mpiapps does not use."""
    module = arrays.cuda_module()
    a, b = (module.random.random((n, n), np.float32) for _ in range(2))
    with tf32():
        seconds = by_events(world, lambda: a @ b, rounds)
    row = {"operation": "multiply", "dtype": "tf32", "n": n, "CuPy": seconds}
    return row | {"flops": 2 * n**3}


def cublasmp(world: World, n: int, dtype: str) -> Call:
    """Return a call of ``A.T B`` by nvmath-python on all ranks. Collective."""
    distributed = importlib.import_module("nvmath.distributed")
    slab = importlib.import_module("nvmath.distributed.distribution").Slab
    linalg = importlib.import_module("nvmath.distributed.linalg.advanced")
    module = arrays.cuda_module()
    if distributed.get_context() is None:
        device = module.cuda.Device().id
        distributed.initialize(device, world.comm, backends=["nvshmem", "nccl"])
    part = n // world.size
    a, b = (
        module.asfortranarray(module.random.random((n, part)).astype(dtype))
        for _ in range(2)
    )
    qualifiers = np.zeros(3, dtype=linalg.matrix_qualifiers_dtype)
    qualifiers[0]["is_transpose"] = True
    layouts = [slab.Y, slab.Y, slab.X]
    return lambda: linalg.matmul(a, b, distributions=layouts, qualifiers=qualifiers)


def peak_of(device: str, dtype: str) -> float | None:
    """Return the peak of a device in flop/s, if it is known."""
    column = (*DTYPES, "tf32").index(dtype)
    found = (peaks[column] for name, peaks in PEAKS.items() if name in device)
    return next(found, None)


def rates(row: dict[str, Any], device: str, ranks: int) -> dict[str, Any]:
    """Return what follows from the times: flop/s, and fractions of peak and CuPy."""
    seconds = row.get("device", row.get("CuPy"))
    rate, peak = row["flops"] / seconds, peak_of(device, row["dtype"])
    row["flop/s"] = rate
    row["of peak"] = rate / (peak * ranks) if peak else None
    row["of CuPy"] = row["CuPy"] / seconds if "CuPy" in row else None
    return row


def crossovers(rows: list[dict[str, Any]]) -> dict[str, int | None]:
    """Return for each operation the least size from which on the device is faster."""
    least: dict[str, int | None] = {}
    for row in (row for row in rows if "NumPy" in row):  # in ascending sizes
        name = f"{row['operation']} {row['dtype']}"
        is_faster = row["device"] + row["transfer"] < row["NumPy"]
        if not is_faster or least.get(name) is None:
            least[name] = row["n"] if is_faster else None
    return least


COLUMNS = ("device", "transfer", "CuPy", "cuBLASMp", "NumPy")


def line(row: dict[str, Any]) -> str:
    """Return a line of the table: times in ms, Tflop/s, fractions."""
    words = [f"{row['operation']:<10}{row['dtype']:<5}{row['n']:>6}"]
    words += [f"{1e3 * row[c]:>10.4g}" if c in row else f"{'-':>10}" for c in COLUMNS]
    words += [f"{row['flop/s'] / 1e12:>10.3g}"]
    for name in ("of peak", "of CuPy"):
        words += [f"{row[name]:>8.2f}" if row[name] else f"{'-':>8}"]
    return " ".join(words)


def cases(world: World, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows of all operations, in ascending sizes. Collective."""
    for name in OPERATIONS:
        for dtype in DTYPES:
            for n in options.sizes:
                yield measure(world, name, dtype, n, options)
    if options.tf32 and world.size == 1:
        for n in options.sizes:
            yield measure_tf32(world, n, options.rounds)


def main() -> int:
    """Measure, print a table, write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--no-tf32", dest="tf32", action="store_false")
    path = ROOT / ".bench" / "gpu-matrix.json"
    parser.add_argument("--json", type=Path, default=path)
    options = parser.parse_args()
    with open_world() as world:
        device = use_device(world).name
        title = f"{world.size} x {device}; NumPy on {CORES} cores"
        columns = " ".join(f"{name:>10}" for name in (*COLUMNS, "Tflop/s"))
        header = f"{'ms':<15}{'n':>6} {columns} {'of peak':>8} {'of CuPy':>8}"
        if world.is_root:
            print(title, header, sep="\n")
        rows = []
        for row in cases(world, options):
            rows.append(rates(row, device, world.size))
            if world.is_root:
                print(line(rows[-1]), flush=True)
        if world.is_root:
            record = {"title": title, "rows": rows, "crossovers": crossovers(rows)}
            print("n from which on the device is faster:", record["crossovers"])
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(record, indent=1) + "\n")
            print(f"written to {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
