"""`make bench-pi`: the kernel, the program and the helper layer against peers.

Each ratio compares two measurements of one round; rounds are interleaved (A B A B), and
the median over the rounds is reported, since machines are noisy and drift. Kernels run
on one core to which this process pins itself.
"""

import argparse
import ctypes
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
from typing import Any

import numpy as np
from measure import start, timings

from mpiapps.kernels.jit import kernel
from mpiapps.kernels.pi import count_darts, count_strata

HERE = Path(__file__).parent
ROOT = HERE.parent
SEED = 7
TEACHING = ROOT / "docs" / "teaching"
RANKS = str(HERE / "bench_ranks.py")

Row = dict[str, Any]


def seconds(call: Callable[[], object]) -> float:
    """Return the seconds that `call` takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(rounds: int, ours: Callable[[], float], peer: Callable[[], float]) -> Row:
    """Return medians of both, and of the ratio peer / ours of each round."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    return {
        "ours": median(a for a, _ in pairs),
        "peer": median(b for _, b in pairs),
        "ratio": median(b / a for a, b in pairs),
        "ratios": [b / a for a, b in pairs],
    }


@kernel
def numba_random(n: int) -> int:
    """Count hits by Numba's own generator, the usual way."""
    hits = 0
    for _ in range(n):
        x, y = np.random.random(), np.random.random()  # noqa: NPY002 - numba has no other
        hits += x * x + y * y < 1.0
    return hits


def numpy_chunks(n: int, chunk: int = 1 << 15) -> int:
    """Count hits by NumPy's default_rng in chunks that stay in the cache."""
    generator = np.random.default_rng(SEED)
    hits = 0
    for _ in range(0, n, chunk):
        x, y = generator.random(chunk), generator.random(chunk)
        hits += int(np.count_nonzero(x * x + y * y < 1.0))
    return hits


def compile_c() -> Callable[[int], int]:
    """Return the same algorithm compiled by gcc -O3 -march=native."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "pi_darts.so"
        flags = ["-O3", "-march=native", "-shared", "-fPIC", "-o", str(target)]
        subprocess.run(["gcc", *flags, str(HERE / "pi_darts.c")], check=True)
        function = ctypes.CDLL(str(target)).misses16
    function.restype = ctypes.c_uint32
    function.argtypes = [ctypes.c_uint32] * 2 + [ctypes.c_uint64] * 2
    return lambda n: n - int(function(SEED, 0, 0, n // 4))


def kernels(rounds: int) -> dict[str, Row]:
    """Return ns per dart on one core, against three peers."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    in_c = compile_c()
    n = 1 << 26
    assert in_c(n) == count_darts(SEED, 0, 0, n, False), "the C code counts other hits"
    numba_random(10)

    def per_dart(call: Callable[[int], object], n: int) -> Callable[[], float]:
        return lambda: seconds(lambda: call(n)) / n * 1e9

    ours = per_dart(lambda n: count_darts(SEED, 0, 0, n, False), n)
    return {
        "kernel against chunked NumPy default_rng, one core": compare(
            rounds, ours, per_dart(numpy_chunks, n // 4)
        ),
        "kernel against numba with np.random.random(), one core": compare(
            rounds, ours, per_dart(numba_random, n // 8)
        ),
        "kernel against C, gcc -O3 -march=native, one core": compare(
            rounds, ours, per_dart(in_c, n)
        ),
    }


def pi(ntasks: int, samples: float) -> dict[str, float]:
    """Return the timers of the program and its wall time, in s."""
    return timings(ntasks, "-m", "mpiapps.pi", "--samples", str(int(samples)))


# Steps of docs/pi.md: two numbers of samples whose times differ by about a second.
STEPS = {
    "pi_1_gather.py": (1e6, 1e7),
    "pi_2_numpy.py": (1e7, 4e8),
    "pi_3_numba.py": (1e7, 2e8),
    "pi_4_counter.py": (1e7, 4e8),
}


def per_sample(step: str) -> tuple[float, float]:
    """Return start and seconds per sample of a teaching program on 2 ranks."""
    few, many = STEPS[step]
    short, long = (start(2, str(TEACHING / step), str(n))[0] for n in (few, many))
    sample = (long - short) / (many - few)
    return short - few * sample, sample


def nanoseconds(step: str) -> float:
    """Return ns per sample of a teaching program on 2 ranks, without its start."""
    return per_sample(step)[1] * 1e9


def steps(rounds: int) -> dict[str, Row]:
    """Return ns per sample on 2 ranks, of the program and of each step."""
    n = 4e9
    return {
        f"{step}, ns a sample on 2 ranks": compare(
            rounds,
            lambda: pi(2, n)["kernel"] / n * 1e9,
            partial(nanoseconds, step),
        )
        for step in STEPS
    }


def programs(rounds: int) -> dict[str, Row]:
    """Return the times of the program and of the first teaching program."""

    def teaching(samples: float) -> float:
        begin, sample = per_sample("pi_1_gather.py")
        return begin + samples * sample

    return {
        "2 ranks against teaching program, kernel and gather, 1e9": compare(
            rounds,
            lambda: sum(pi(2, 1e9)[k] for k in ("kernel", "gather")),
            lambda: teaching(1e9),
        ),
        "the same, whole processes, 1e9": compare(
            rounds, lambda: pi(2, 1e9)["wall"], lambda: teaching(1e9)
        ),
        "the same, whole processes, 1e11": compare(
            rounds, lambda: pi(2, 1e11)["wall"], lambda: teaching(1e11)
        ),
    }


def scaling(rounds: int) -> dict[str, Row]:
    """Return the times of `run` on two ranks and on one, alternating, in one job."""
    pairs = iter(json.loads(start(2, RANKS, "scaling", str(rounds))[1].stdout))
    pair = [0.0, 0.0]

    def ours() -> float:
        pair[:] = next(pairs)
        return pair[0]

    return {"2 ranks against 1, same work": compare(rounds, ours, lambda: pair[1])}


def accuracy(seeds: int = 200) -> dict[str, Row]:
    """Return the RMS error of darts against strata at 2**20 samples."""
    n = 2**20
    side = math.isqrt(n // 2)

    def rms(estimates: list[float]) -> float:
        return float(np.sqrt(np.mean((np.array(estimates) - math.pi) ** 2)))

    darts = rms([4 * count_darts(s, 0, 0, n, False) / n for s in range(seeds)])
    strata = rms(
        [4 * count_strata(s, 1, 0, side, side)[0] / (2 * side**2) for s in range(seeds)]
    )
    row = {"ours": strata, "peer": darts, "ratio": darts / strata}
    return {f"RMS error of darts against strata, 2**20 samples, {seeds} seeds": row}


def helper_calls(rounds: int) -> dict[str, Row]:
    """Return the overhead of helper-layer calls over bare mpi4py calls, in us."""
    rows = {}
    for ntasks in (1, 2):
        _, done = start(ntasks, RANKS, "calls", str(rounds))
        for name, (ours, bare, more) in json.loads(done.stdout).items():
            title = f"BlockPlan.{name} over the bare call, us more, {ntasks} ranks"
            rows[title] = {"ours": ours, "peer": bare, "ratio": more}
    return rows


def main() -> int:
    """Measure, print a table, write a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=ROOT / ".bench" / "pi.json")
    options = parser.parse_args()
    rows = {
        **steps(options.rounds),
        **scaling(5 * options.rounds),
        **programs(options.rounds),
        **accuracy(),
        **helper_calls(options.rounds),
        **kernels(5 * options.rounds),  # last, since it pins this process to a core
    }
    print(f"{'':<66} {'ours':>10} {'peer':>10} {'ratio':>8}")
    for name, row in rows.items():
        ours, peer = row["ours"], row["peer"]
        print(f"{name:<66} {ours:>10.4g} {peer:>10.4g} {row['ratio']:>8.3g}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written to {options.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
