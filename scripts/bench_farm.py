"""Benchmark of `make bench-farm`: no-op tasks against peers, makespan, journal.

Two ranks run two tasks at a time, and so do the peers. The time of a peer is that of
its tasks: a run of many minus a run of one. Rounds are interleaved, and the median of
their ratios is compared. Peers: GNU parallel, HyperShell, disBatch. Files of the no-op
tasks are in memory; those of the last rows are on disk.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from measure import timings

HERE = Path(__file__).parent
TOOLS = HERE.parent / ".bench/shell/bin"
HYPERSHELL, DISBATCH = str(TOOLS / "hsx"), str(TOOLS / "disBatch")
# disBatch starts its workers by ssh, on this host too; this substitute is faster.
SSH = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
shift
exec sh -c "$*"
"""
NOOP_TASKS, SLEEP_TASKS, SLOTS = 2000, 2000, 4
MEMORY = "/dev/shm"  # excludes the disk from the first rows
MEAN_SLEEP = 0.1  # s
Timer = Callable[[], float]  # returns seconds


def farm_timer(tasks: Path, ranks: int, journal: str = "on") -> Timer:
    """Return a function that measures the farm: the seconds of its tasks."""
    argv = [str(HERE / "farm_peer.py"), journal, str(tasks), "--progress", "off"]

    def measure() -> float:
        with tempfile.TemporaryDirectory(dir=tasks.parent) as directory:
            return timings(ranks, *argv, "--directory", directory)["tasks"]

    return measure


def peer_timer(*argv: str, many: Path, one: Path) -> Timer:
    """Return a function that measures a peer, which takes the list as last argument."""
    path = f"{one.parent}:{TOOLS}:{os.environ['PATH']}"

    def wall(tasks: Path) -> float:
        start = time.perf_counter()
        with (
            tempfile.TemporaryDirectory(dir=MEMORY) as directory,
            tasks.open() as lines,
        ):
            subprocess.run(
                [*argv, str(tasks)] if argv[0] != "parallel" else argv,
                stdin=lines,
                cwd=directory,
                env={**os.environ, "TMPDIR": directory, "PATH": path},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        return time.perf_counter() - start

    return lambda: wall(many) - wall(one)


def row(title: str, ratios: list[float], rates: str, bound: str, passed: bool) -> bool:
    """Print a row; return whether it passed."""
    print(f"{title:44} {rates:>20} {median(ratios):6.2f} {bound:>8}", flush=True)
    return passed


def main() -> int:
    """Measure and print a table; return 1 if a figure misses its bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rng = random.Random(1)
    times = [rng.lognormvariate(0, 1) for _ in range(SLEEP_TASKS)]
    scale = MEAN_SLEEP * SLEEP_TASKS / sum(times)
    times = [seconds * scale for seconds in times]
    lower_bound = max(*times, sum(times) / SLOTS)
    passed = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        tempfile.TemporaryDirectory(dir=MEMORY) as memory,
    ):
        sleeps, disk = Path(scratch, "sleeps"), Path(scratch, "many")
        many, one = Path(memory, "many"), Path(memory, "one")
        for path in (many, disk):
            path.write_text("true\n" * NOOP_TASKS)
        one.write_text("true\n")
        Path(memory, "ssh").write_text(SSH)
        Path(memory, "ssh").chmod(0o755)
        sleeps.write_text("".join(f"sleep {seconds:.6f}\n" for seconds in times))
        measure_farm = farm_timer(many, 2)
        parallel = ["parallel", "-j2"]
        hypershell = [HYPERSHELL, "-N2", "--no-db"]
        peers = {
            "true, against GNU parallel -j2": (parallel, 3, NOOP_TASKS),
            "true, against HyperShell -N2": (hypershell, 5, NOOP_TASKS),
            "true, against disBatch": ([DISBATCH, "-s", "localhost:2"], 5, 40),
        }
        for title, (argv, bound, count) in peers.items():
            peer_tasks = Path(memory, f"{count}")
            peer_tasks.write_text("true\n" * count)
            measure_peer = peer_timer(*argv, many=peer_tasks, one=one)
            pairs = [(measure_farm(), measure_peer()) for _ in range(args.rounds)]
            ratios = [b / a * NOOP_TASKS / count for a, b in pairs]
            a, b = (median(seconds) for seconds in zip(*pairs, strict=True))
            rates = f"{NOOP_TASKS / a:.0f} {count / b:.0f} tasks/s"
            passed.append(row(title, ratios, rates, f">= {bound}",
                              median(ratios) >= bound))  # fmt: skip
        with_journal, without = farm_timer(disk, 2), farm_timer(disk, 2, "off")
        pairs = [(with_journal(), without()) for _ in range(args.rounds)]
        ratios = [b / a for a, b in pairs]
        passed.append(row("journal on, against off", ratios, "", ">= 0.9",
                          median(ratios) >= 0.9))  # fmt: skip
        measure_sleeps = farm_timer(sleeps, SLOTS)
        rounds = max(1, args.rounds // 2)
        ratios = [measure_sleeps() / lower_bound for _ in range(rounds)]
        passed.append(row(f"makespan of {SLEEP_TASKS} lognormal tasks", ratios,
                          f"lower bound {lower_bound:.2f} s", "<= 1.05",
                          median(ratios) <= 1.05))  # fmt: skip
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
