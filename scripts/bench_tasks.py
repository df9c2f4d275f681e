"""`make bench-farm`, its Python tasks: no-op tasks per second, chunk 1, against peers.

The same processes everywhere: two that work and one that gives out. Every ratio
compares two measurements of one round; rounds are interleaved, and the median over the
rounds counts. Peers: mpi4py.futures, multiprocessing.Pool, dask-mpi (in .bench/dask).
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

from mpiapps.app.mpiexec import command_line, find_launcher

HERE = Path(__file__).parent
ROOT = HERE.parent
RANKS = 3
# Peer -> tasks of one measurement, and the least ratio of ours to theirs.
PEERS = {"futures": (5000, 50.0), "dask": (1000, 200.0), "pool": (50_000, 1.0)}
OURS = 100_000
Rate = Callable[[], float]


def rate(name: str, tasks: int) -> Rate:
    """Return what measures tasks per second of one of the ways."""
    words = [str(HERE / "tasks_peer.py"), name, str(tasks), str(RANKS - 1)]
    command: list[str]
    variables: dict[str, str]
    if name == "pool":
        command, variables = [sys.executable, *words], {}
    else:
        command, variables = command_line(find_launcher(), RANKS, words)
    if name == "dask":  # one more rank: dask-mpi has a scheduler and a client
        command[command.index("-n") + 1] = str(RANKS + 1)
        command[command.index(sys.executable)] = str(ROOT / ".bench/dask/bin/python")

    def measured() -> float:
        done = subprocess.run(
            command,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        found = [line for line in done.stdout.splitlines() if line[:1] == "["]
        if not found:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
        rates: list[float] = json.loads(found[-1])
        return max(rates)

    return measured


def main() -> int:
    """Measure, and print a table; return 1 if a ratio is below what is expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    title = "no-op tasks/s, chunk 1, against"
    print(f"{title:32} {'ours':>9} {'theirs':>9} {'ratio':>6} {'least':>6}")
    low = 0
    mine = rate("ours", OURS)
    for name, (tasks, least) in PEERS.items():
        theirs = rate(name, tasks)
        pairs = [(mine(), theirs()) for _ in range(given.rounds)]
        ratio = median(a / b for a, b in pairs)
        low += ratio < least
        first, second = median(a for a, _ in pairs), median(b for _, b in pairs)
        print(
            f"{name:32} {first:9.0f} {second:9.0f} {ratio:5.1f} {least:5.0f}",
            flush=True,
        )
    return int(low > 0)


if __name__ == "__main__":
    sys.exit(main())
