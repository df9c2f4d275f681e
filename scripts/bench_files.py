"""`make bench-files`: counting and reading files, against the usual tools.

Two ranks. Every ratio compares two measurements of one round; rounds are interleaved,
and the median over the rounds counts. Of ours the time of the work counts, from the
record; what a start costs besides is told. Peers: wc, GNU parallel, polars and duckdb
(in .bench/files), a serial loop in Python.
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
PEERS = str(HERE / "files_peer.py")
PYTHON = str(HERE.parent / ".bench/files/bin/python")
RANKS = 2
SIZE = 10**9  # bytes of the large file
SMALL = 100_000  # small files
BLOCK = "32M"  # of parallel --pipepart: the fastest of 10M, 32M and 100M here
Seconds = Callable[[], float]
STARTS: list[float] = []


def ours(
    *words: str, timers: tuple[str, ...] = ("plan", "kernel", "gather")
) -> Seconds:
    """Return what measures the program: the seconds of its timers."""

    def measured() -> float:
        took = timings(RANKS, "-m", "mpiapps.files", *words, "--progress", "off")
        work = sum(took[name] for name in timers)
        STARTS.append(took["wall"] - work)
        return work

    return measured


def command(*words: str) -> Seconds:
    """Return what measures a command."""

    def measured() -> float:
        start = time.perf_counter()
        environ = {**os.environ, "LC_ALL": "C.UTF-8"}
        subprocess.run(words, env=environ, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)  # fmt: skip
        return time.perf_counter() - start

    return measured


def script(*words: str, python: str = PYTHON) -> Seconds:
    """Return what measures a peer in Python, without its start."""

    def measured() -> float:
        done = subprocess.run(
            [python, PEERS, *words], capture_output=True, text=True, check=True
        )
        return float(done.stdout.split()[-1])

    return measured


def write_text(path: Path) -> None:
    """Write words of English lengths, the frequent ones often: lines of about 60."""
    some = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = [
        "".join(some.choices(letters, range(26, 0, -1), k=some.randint(1, 9)))
        for _ in range(50_000)
    ]
    weights = [1 / (n + 2) for n in range(len(words))]
    lines = [" ".join(some.choices(words, weights, k=11)) for _ in range(100_000)]
    part = "\n".join(lines).encode() + b"\n"
    with path.open("wb") as stream:
        for start in range(0, SIZE, len(part)):
            stream.write(part[: SIZE - start])


def write_small(folder: Path) -> None:
    """Write many small files, a thousand in a folder."""
    for n in range(SMALL):
        below = folder / f"{n // 1000}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"{n}.txt").write_text("some words in a line\n" * (n % 100))


def compare(title: str, mine: Seconds, theirs: Seconds, least: float,
            rounds: int) -> bool:  # fmt: skip
    """Measure, print a row; return whether the ratio is what is expected."""
    pairs = [(mine(), theirs()) for _ in range(rounds)]
    ratio = median(b / a for a, b in pairs)
    first, second = median(a for a, _ in pairs), median(b for _, b in pairs)
    print(f"{title:44} {first:8.3f} {second:8.3f} {ratio:6.1f} {least:6.1f}",
          flush=True)  # fmt: skip
    return ratio >= least


def main() -> int:
    """Measure, and print a table; return 1 if a ratio is below what is expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        large, small = Path(scratch, "large"), Path(scratch, "small")
        write_text(large)
        write_small(small)
        text, many = str(large), str(small)
        words, lines = ours("count", text), ours("count", text, "--only", "lines")
        pipe = ["parallel", "-j2", "--pipepart", "--block", BLOCK, "-a", text, "wc"]
        walk = ours("count", many, timers=("list", "plan", "kernel", "gather"))
        rows = [
            ("words: wc -w", words, command("wc", "-w", text), 25),
            ("words: parallel --pipepart wc -w", words, command(*pipe, "-w"), 10),
            ("words: polars", words, script("polars", text), 5),
            ("words: duckdb", words, script("duckdb", text), 5),
            ("lines: wc -l", lines, command("wc", "-l", text), 1.2),
            ("100,000 small files: a loop in Python", walk,
             script("loop", many, python=sys.executable), 1.8),
        ]  # fmt: skip
        words(), lines(), walk()  # compiled, and in the page cache
        print(f"{'seconds':44} {'ours':>8} {'theirs':>8} {'ratio':>6} {'least':>6}")
        fine = [
            compare(title, mine, theirs, least, given.rounds)
            for title, mine, theirs, least in rows
            if given.only in title
        ]
    print(f"a start costs {median(STARTS):.2f} s besides")
    return int(not all(fine))


if __name__ == "__main__":
    sys.exit(main())
