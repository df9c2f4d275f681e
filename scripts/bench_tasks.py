"""`make bench-farm`, Python tasks: no-op tasks per second at chunksize 1, with peers.

All pools have two workers and one manager. Each ratio is of two measurements of one
round; rounds are interleaved, and the median over the rounds is reported. Peers:
mpi4py.futures, multiprocessing.Pool, dask-mpi (in .bench/dask).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from mpiapps.launch.mpiexec import command_line, find_launcher

HERE = Path(__file__).parent
ROOT = HERE.parent
RANKS = 3
# Peer -> tasks of one measurement, and the minimum ratio of our rate to the peer's.
PEERS = {"futures": (5000, 50.0), "dask": (1000, 200.0), "pool": (50_000, 1.0)}
OUR_TASKS = 100_000
Rate = Callable[[], float]


def rate(name: str, tasks: int) -> Rate:
    """Return a function that measures the tasks per second of a pool."""
    argv = [str(HERE / "tasks_peer.py"), name, str(tasks), str(RANKS - 1)]
    command: list[str]
    variables: dict[str, str]
    if name == "pool":
        command, variables = [sys.executable, *argv], {}
    else:
        command, variables = command_line(find_launcher(), RANKS, argv)
    if name == "dask":  # dask-mpi needs a rank for the scheduler and one for the client
        command[command.index("-n") + 1] = str(RANKS + 1)
        command[command.index(sys.executable)] = str(ROOT / ".bench/dask/bin/python")

    def measure() -> float:
        process = subprocess.run(
            command,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line for line in process.stdout.splitlines() if line[:1] == "["]
        if not lines:
            sys.exit(f"{' '.join(command)} failed:\n{process.stderr}")
        rates: list[float] = json.loads(lines[-1])
        return max(rates)

    return measure


def main() -> int:
    """Measure, and print a table; return 1 if a ratio is below its minimum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    title = "no-op tasks/s, chunksize 1, and"
    print(f"{title:32} {'mpiapps':>9} {'peer':>9} {'ratio':>6} {'min':>6}")
    failed = False
    measure_ours = rate("mpiapps", OUR_TASKS)
    for name, (tasks, min_ratio) in PEERS.items():
        measure_peer = rate(name, tasks)
        pairs = [(measure_ours(), measure_peer()) for _ in range(rounds)]
        ratio = median(ours / peer for ours, peer in pairs)
        failed |= ratio < min_ratio
        ours, peer = median(a for a, _ in pairs), median(b for _, b in pairs)
        print(
            f"{name:32} {ours:9.0f} {peer:9.0f} {ratio:5.1f} {min_ratio:5.0f}",
            flush=True,
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
