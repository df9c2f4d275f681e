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
from functools import partial
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


def environment(directory: str) -> str:
    """Return the path of the Python of a virtual environment."""
    path = ROOT / directory / "bin" / "python"
    if not path.exists():
        raise FileNotFoundError(f"no {path}; make bench-matrix installs it")
    return str(path)


def mkl_library(pattern: str) -> Path:
    """Return the path of a library of MKL's environment."""
    for path in (MKL / "lib").glob(pattern):
        return path
    raise FileNotFoundError(f"no {pattern} in {MKL / 'lib'}")


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
        library = str(mkl_library("libmkl_rt.so.*"))
        variables |= {"MPIAPPS_BLAS": library, "MKL_THREADING_LAYER": "SEQUENTIAL"}
    return lambda: started(command, **variables)


def scalapack(which: str, operation: str, sizes: list[int]) -> Time:
    """Return the time of a ScaLAPACK on ranks."""
    words = [str(HERE / "scalapack_peer.py"), which, operation, *map(str, sizes)]
    words += [str(BLOCKS[which]), "3"]
    if which == "debian":
        python = environment(".venv-system")
        return lambda: started(["mpirun.openmpi", "-n", str(RANKS), python, *words])
    preload = "LD_PRELOAD=" + ":".join(map(str, map(mkl_library, PRELOADED)))
    start = [str(MKL / "bin" / "mpiexec"), "-n", str(RANKS), "env", preload]
    return lambda: started([*start, str(MKL / "bin" / "python"), *words])


def dask(sizes: list[int]) -> Time:
    """Return the time of dask.array on two worker processes."""
    python = environment(".bench/dask")
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
        with tempfile.TemporaryDirectory() as directory:
            path, part = Path(directory) / "a.npy", Path(directory) / "part.npy"
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


def compared(which: str, operation: str, sizes: list[int], min_ratio: float) -> Row:
    """Return the comparison with a peer that uses the same BLAS."""
    own = ours(operation, sizes, blas=which)
    if which == "numpy":
        return Row(own, one_core(*sizes), min_ratio)
    return Row(own, scalapack(which, operation, sizes), min_ratio)


def against_dask(sizes: list[int]) -> Row:
    """Return the comparison with dask.array."""
    return Row(ours("multiply", sizes), dask(sizes), 2.5)


def against_plan(sizes: list[int], ranks: int) -> Row:
    """Return the comparison with the estimate of --plan."""
    return Row(ours("multiply", sizes, ranks), planned(sizes, ranks), 0.8, 1.2)


def against_file(sizes: list[int], method: str) -> Row:
    """Return the comparison with NumPy's files."""
    return Row(ours(f"npy-{method}", sizes), numpy_file(*sizes[:2]), 1.5)


def rows() -> dict[str, Callable[[], Row]]:
    """Return functions that prepare the comparisons, by name."""
    cube, long = [4096] * 3, [512, 512, 131072]
    big, files = [8192, 1, 0], [8192, 8192, 0]
    table: dict[str, Callable[[], Row]] = {
        "4096^3 against NumPy on one core, x 2": partial(
            compared, "numpy", "multiply", cube, 0.97
        )
    }
    for which, min_ratio in (("debian", 1.3), ("mkl", 1.02)):
        table |= {
            f"4096^3 against ScaLAPACK, {which}": partial(
                compared, which, "multiply", cube, min_ratio
            ),
            f"512 x 512 x 131072 against ScaLAPACK, {which}": partial(
                compared, which, "multiply", long, 1.4
            ),
        }
    for operation in ("cholesky", "solve"):
        table[f"{operation} 8192 against ScaLAPACK, debian"] = partial(
            compared, "debian", operation, big, 1.0
        )
    table["4096^3 against dask.array, 2 workers"] = partial(against_dask, cube)
    for ranks in (1, 2, 4):
        name = f"4096^3 on {ranks} rank(s) against its plan"
        table[name] = partial(against_plan, cube, ranks)
    for method in ("posix", "mpiio"):
        name = f".npy 512 MiB by {method}, against NumPy in one process"
        table[name] = partial(against_file, files, method)
    return table


def main() -> int:
    """Measure and print a table; return 1 if a ratio is out of range."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    print(f"{'':52} {'own s':>8} {'peer s':>8} {'ratio':>6} {'min':>6}")
    failures = 0
    for name, prepare in rows().items():
        if options.only not in name:
            continue
        try:
            row = prepare()
        except FileNotFoundError as error:
            print(f"{name:52} not measured: {error}", flush=True)
            failures += 1
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
