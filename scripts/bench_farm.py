"""`make bench-farm`, its commands: no-op shell tasks against peers, makespan, journal.

Two ranks, so two tasks at once; peers run as many. The time of a peer is that of its
tasks: of a run of many, less that of a run of one. Rounds are interleaved, and the
median of their ratios counts. Peers: GNU parallel, HyperShell, disBatch. What
no-op tasks of all write is in memory; the last rows write to the disk.
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
# disBatch starts its parts by ssh, here too: this one stands for it, and is faster.
SSH = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
shift
exec sh -c "$*"
"""
SHELL, SLEEPS, SLOTS = 2000, 2000, 4
MEMORY = "/dev/shm"  # files of the first rows: so that not the disk is measured
MEAN = 0.1  # s of a task that sleeps
Seconds = Callable[[], float]


def ours(tasks: Path, ranks: int, journal: str = "on") -> Seconds:
    """Return what measures the farm: the seconds of its tasks."""
    words = [str(HERE / "farm_peer.py"), journal, str(tasks), "--progress", "off"]

    def measured() -> float:
        with tempfile.TemporaryDirectory(dir=tasks.parent) as folder:
            return timings(ranks, *words, "--directory", folder)["tasks"]

    return measured


def peer(*words: str, many: Path, one: Path) -> Seconds:
    """Return what measures another farm; its last argument is the list."""
    path = f"{one.parent}:{TOOLS}:{os.environ['PATH']}"

    def wall(tasks: Path) -> float:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=MEMORY) as folder, tasks.open() as lines:
            subprocess.run(
                [*words, str(tasks)] if words[0] != "parallel" else words,
                stdin=lines,
                cwd=folder,
                env={**os.environ, "TMPDIR": folder, "PATH": path},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        return time.perf_counter() - start

    return lambda: wall(many) - wall(one)


def row(title: str, ratios: list[float], shown: str, bound: str, fine: bool) -> bool:
    """Print a row; return whether it is fine."""
    print(f"{title:44} {shown:>20} {median(ratios):6.2f} {bound:>8}", flush=True)
    return fine


def main() -> int:
    """Measure, and print a table; return 1 if a figure is not what is expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    some = random.Random(1)
    naps = [some.lognormvariate(0, 1) for _ in range(SLEEPS)]
    scale = MEAN * SLEEPS / sum(naps)
    naps = [nap * scale for nap in naps]
    least = max(*naps, sum(naps) / SLOTS)
    fine = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        tempfile.TemporaryDirectory(dir=MEMORY) as memory,
    ):
        sleeps, disk = Path(scratch, "sleeps"), Path(scratch, "many")
        many, one = Path(memory, "many"), Path(memory, "one")
        for path in (many, disk):
            path.write_text("true\n" * SHELL)
        one.write_text("true\n")
        Path(memory, "ssh").write_text(SSH)
        Path(memory, "ssh").chmod(0o755)
        sleeps.write_text("".join(f"sleep {nap:.6f}\n" for nap in naps))
        mine = ours(many, 2)
        peers = {
            "true, against GNU parallel -j2": (["parallel", "-j2"], 3, SHELL),
            "true, against HyperShell -N2": ([HYPERSHELL, "-N2", "--no-db"], 5, SHELL),
            "true, against disBatch": ([DISBATCH, "-s", "localhost:2"], 5, 40),
        }
        for title, (words, bound, most) in peers.items():
            some_tasks = Path(memory, f"{most}")
            some_tasks.write_text("true\n" * most)
            theirs = peer(*words, many=some_tasks, one=one)
            pairs = [(mine(), theirs()) for _ in range(given.rounds)]
            ratios = [b / a * SHELL / most for a, b in pairs]
            a, b = (median(each) for each in zip(*pairs, strict=True))
            a, b = SHELL / a, most / b
            shown = f"{a:.0f} {b:.0f} tasks/s"
            fine.append(row(title, ratios, shown, f">= {bound}",
                            median(ratios) >= bound))  # fmt: skip
        loud, quiet = ours(disk, 2), ours(disk, 2, "off")
        pairs = [(loud(), quiet()) for _ in range(given.rounds)]
        ratios = [b / a for a, b in pairs]
        fine.append(row("journal on, against off", ratios, "", ">= 0.9",
                        median(ratios) >= 0.9))  # fmt: skip
        naps_of = ours(sleeps, SLOTS)
        ratios = [naps_of() / least for _ in range(max(1, given.rounds // 2))]
        fine.append(row(f"makespan of {SLEEPS} lognormal tasks", ratios,
                        f"{least:.2f} s at least", "<= 1.05",
                        median(ratios) <= 1.05))  # fmt: skip
    return int(not all(fine))


if __name__ == "__main__":
    sys.exit(main())
