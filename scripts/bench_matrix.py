"""`make bench-matrix`: products, factors and files, against NumPy and ScaLAPACK.

Every ratio compares two measurements of one round; rounds are interleaved (A B A B),
and the median over the rounds counts. Peers: NumPy on one core; Debian's ScaLAPACK on
Open MPI with OpenBLAS (in .venv-system); MKL's ScaLAPACK from PyPI (in .bench/mkl);
dask.array (in .bench/dask); the estimate of --plan --calibrate.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from mpiapps.launch.mpiexec import command_line, find_launcher

HERE = Path(__file__).parent
ROOT = HERE.parent
RANKS = 2
MKL = ROOT / ".bench" / "mkl"
PRELOADED = (
    *("libmpi.so.40", "libmkl_core.so.*", "libmkl_intel_lp64.so.*"),
    *("libmkl_sequential.so.*", "libmkl_blacs_openmpi_lp64.so.*"),
    "libmkl_scalapack_lp64.so.*",
)
BLOCKS = {"debian": 64, "mkl": 256}  # the best of 32 to 512 for each
CHUNK_BYTES = 2048  # of dask.array: the best of 512, 1024 and 2048
AS_ROOT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
Time = Callable[[], float]


def started(command: list[str], **variables: str) -> float:
    """Return the minimum of the times that rank 0 prints."""
    done = subprocess.run(
        command,
        env={**os.environ, **AS_ROOT, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return min(seconds)


def ours(operation: str, sizes: list[int], ranks: int = RANKS, blas: str = "") -> Time:
    """Return the time of `mpiapps.linalg` on ranks, by MKL's BLAS or SciPy's."""
    words = [str(HERE / "bench_matrix_ranks.py"), operation, *map(str, sizes), "4"]
    command, variables = command_line(find_launcher(), ranks, words)
    if blas == "mkl":
        library = str(next((MKL / "lib").glob("libmkl_rt.so.*")))
        variables |= {"MPIAPPS_BLAS": library, "MKL_THREADING_LAYER": "SEQUENTIAL"}
    return lambda: started(command, **variables)


def scalapack(which: str, operation: str, sizes: list[int]) -> Time:
    """Return the time of a ScaLAPACK on ranks."""
    words = [str(HERE / "scalapack_peer.py"), which, operation, *map(str, sizes)]
    words += [str(BLOCKS[which]), "3"]
    if which == "debian":
        python = str(ROOT / ".venv-system" / "bin" / "python")
        return lambda: started(["mpirun.openmpi", "-n", str(RANKS), python, *words])
    libraries = [next((MKL / "lib").glob(name)) for name in PRELOADED]
    preload = "LD_PRELOAD=" + ":".join(map(str, libraries))
    start = [str(MKL / "bin" / "mpiexec"), "-n", str(RANKS), "env", preload]
    return lambda: started([*start, str(MKL / "bin" / "python"), *words])


def dask(sizes: list[int]) -> Time:
    """Return the time of dask.array on two worker processes."""
    python = str(ROOT / ".bench" / "dask" / "bin" / "python")
    words = [*map(str, sizes), str(CHUNK_BYTES), "4"]
    return lambda: started([python, str(HERE / "dask_peer.py"), *words])


def planned(sizes: list[int], ranks: int) -> Time:
    """Return the time that --plan --calibrate estimates."""
    words = ["-m", "mpiapps.matrix", "multiply", "--random", *map(str, sizes)]
    words += ["--plan", "--calibrate", "--json", "-"]
    command, variables = command_line(find_launcher(), ranks, words)

    def expected() -> float:
        environ = {**os.environ, **AS_ROOT, **variables}
        text = subprocess.run(
            command, env=environ, capture_output=True, text=True, check=True
        ).stdout
        seconds: float = json.loads(text)["values"]["seconds"]
        return seconds

    return expected


def one_core(m: int, n: int, k: int) -> Time:
    """Return the time of NumPy on one core, by the number of ranks."""
    rng = np.random.default_rng(0)
    a, b = rng.random((m, k)), rng.random((k, n))

    def timed() -> float:
        seconds = []
        for _ in range(2):
            start = time.perf_counter()
            a @ b
            seconds.append(time.perf_counter() - start)
        return min(seconds) / RANKS

    return timed


def numpy_file(m: int, n: int) -> Time:
    """Return the time of one NumPy process that saves with fsync and loads."""
    a = np.random.default_rng(0).random((m, n))

    def timed() -> float:
        seconds = []
        with tempfile.TemporaryDirectory() as folder:
            path, part = Path(folder) / "a.npy", Path(folder) / "part.npy"
            for _ in range(4):
                start = time.perf_counter()
                with part.open("wb") as stream:
                    np.save(stream, a)
                    stream.flush()
                    os.fsync(stream.fileno())
                part.replace(path)
                np.load(path)
                seconds.append(time.perf_counter() - start)
        return min(seconds[1:])  # the first does not replace a file

    return timed


class Row(NamedTuple):
    """A comparison: own time, time of the peer, and range of the expected ratio."""

    own: Time
    peer: Time
    min_ratio: float
    max_ratio: float = math.inf


def rows() -> dict[str, Row]:
    """Return the comparisons with their minimum ratios."""
    cube, long = [4096] * 3, [512, 512, 131072]
    big = [8192, 1, 0]
    cases = {"4096^3 against NumPy on one core, x 2": ("numpy", "multiply", cube, 0.97)}
    for which, min_ratio in (("debian", 1.3), ("mkl", 1.02)):
        name = f"4096^3 against ScaLAPACK, {which}"
        cases[name] = (which, "multiply", cube, min_ratio)
        name = f"512 x 512 x 131072 against ScaLAPACK, {which}"
        cases[name] = (which, "multiply", long, 1.4)
    for operation in ("cholesky", "solve"):
        name = f"{operation} 8192 against ScaLAPACK, debian"
        cases[name] = ("debian", operation, big, 1.0)
    table: dict[str, Row] = {}
    for name, (which, operation, sizes, min_ratio) in cases.items():
        peer = (
            one_core(*sizes) if which == "numpy" else scalapack(which, operation, sizes)
        )
        # Both use the same BLAS.
        table[name] = Row(ours(operation, sizes, blas=which), peer, min_ratio)
    table["4096^3 against dask.array, 2 workers"] = Row(
        ours("multiply", cube), dask(cube), 2.5
    )
    for ranks in (1, 2, 4):
        name = f"4096^3 on {ranks} rank(s) against its plan"
        own, plan = ours("multiply", cube, ranks), planned(cube, ranks)
        table[name] = Row(own, plan, 0.8, 1.2)
    files = [8192, 8192, 0]
    for method in ("posix", "mpiio"):
        alone = numpy_file(*files[:2])
        name = f".npy 512 MiB by {method}, against NumPy in one process"
        table[name] = Row(ours(f"npy-{method}", files), alone, 1.5)
    return table


def main() -> int:
    """Measure and print a table; return 1 if a ratio is out of range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    print(f"{'':52} {'own s':>8} {'peer s':>8} {'ratio':>6} {'min':>6}")
    failures = 0
    for name, row in rows().items():
        if options.only not in name:
            continue
        pairs = [(row.own(), row.peer()) for _ in range(options.rounds)]
        ratio = median(b / a for a, b in pairs)
        failures += not row.min_ratio <= ratio <= row.max_ratio
        first, second = median(a for a, _ in pairs), median(b for _, b in pairs)
        print(
            f"{name:52} {first:8.3f} {second:8.3f} {ratio:6.2f} {row.min_ratio:6.2f}",
            flush=True,
        )
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
