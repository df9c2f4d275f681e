"""`make bench-files`: words, histograms of columns, conversion, against other tools.

Two ranks. Each ratio compares two measurements of one round; rounds are interleaved,
and the median over the rounds is reported. For mpiapps it is the time of the work, from
the record; the time of the start is printed separately. Peers: wc, GNU parallel, polars
and duckdb (in .bench/files), pyarrow, a serial loop in Python.
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
LARGE_BYTES = 10**9  # of the large file
SMALL_FILES = 100_000  # number of small files
ROWS = 4_000_000  # of the tables
BLOCK = "32M"  # of parallel --pipepart: the fastest of 10M, 32M and 100M here
Seconds = Callable[[], float]
START_SECONDS: list[float] = []


def mpiapps_files(
    *argv: str, timers: tuple[str, ...] = ("plan", "kernel", "gather")
) -> Seconds:
    """Return a function that runs the program and returns the sum of its timers."""

    def measure() -> float:
        seconds = timings(RANKS, "-m", "mpiapps.files", *argv, "--progress", "off")
        work = sum(seconds[name] for name in timers)
        START_SECONDS.append(seconds["wall"] - work)
        return work

    return measure


def convert(table: str) -> Seconds:
    """Return a function that converts CSV to a new directory of Parquet files."""

    def measure() -> float:
        with tempfile.TemporaryDirectory(dir=Path(table).parent) as scratch:
            output = str(Path(scratch, "parts"))
            return mpiapps_files("convert", table, "--output-dir", output)()

    return measure


def command(*argv: str) -> Seconds:
    """Return a function that runs a command and returns its wall time."""

    def measure() -> float:
        start = time.perf_counter()
        environ = {**os.environ, "LC_ALL": "C.UTF-8"}
        subprocess.run(argv, env=environ, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)  # fmt: skip
        return time.perf_counter() - start

    return measure


def script(*argv: str, python: str = PYTHON) -> Seconds:
    """Return a function that runs a peer in Python and returns its reported time."""

    def measure() -> float:
        done = subprocess.run(
            [python, PEERS, *argv], capture_output=True, text=True, check=True
        )
        return float(done.stdout.split()[-1])

    return measure


def write_text(path: Path) -> None:
    """Write words with lengths and frequencies like English; lines of about 60."""
    rng = random.Random(1)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    words = [
        "".join(rng.choices(letters, range(26, 0, -1), k=rng.randint(1, 9)))
        for _ in range(50_000)
    ]
    weights = [1 / (n + 2) for n in range(len(words))]
    lines = [" ".join(rng.choices(words, weights, k=11)) for _ in range(100_000)]
    part = "\n".join(lines).encode() + b"\n"
    with path.open("wb") as stream:
        for start in range(0, LARGE_BYTES, len(part)):
            stream.write(part[: LARGE_BYTES - start])


def write_small(directory: Path) -> None:
    """Write many small files, a thousand per directory."""
    for n in range(SMALL_FILES):
        subdirectory = directory / f"{n // 1000}"
        subdirectory.mkdir(parents=True, exist_ok=True)
        (subdirectory / f"{n}.txt").write_text("some words in a line\n" * (n % 100))


def write_tables(directory: Path) -> list[str]:
    """Write tables of an index, a random number and a word; return their names."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    x = np.random.default_rng(1).random(ROWS)
    words = pa.array(["a", "some words", "more of them"]).take(
        pa.array(np.arange(ROWS) % 3)
    )
    table = pa.table({"n": np.arange(ROWS), "x": x, "word": words})
    names = [str(directory / f"table.{suffix}") for suffix in ("csv", "parquet")]
    pyarrow.csv.write_csv(table, names[0])
    pyarrow.parquet.write_table(table, names[1])
    return names


def compare(title: str, ours: Seconds, peer: Seconds, minimum: float,
            rounds: int) -> bool:  # fmt: skip
    """Measure, print a row; return whether the ratio is at least `minimum`."""
    pairs = [(ours(), peer()) for _ in range(rounds)]
    ratio = median(b / a for a, b in pairs)
    first, second = median(a for a, _ in pairs), median(b for _, b in pairs)
    print(f"{title:44} {first:8.3f} {second:8.3f} {ratio:6.1f} {minimum:6.1f}",
          flush=True)  # fmt: skip
    return ratio >= minimum


def main() -> int:
    """Measure, and print a table; return 1 if a ratio is below its minimum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose title contains this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        large, small = Path(scratch, "large"), Path(scratch, "small")
        write_text(large)
        write_small(small)
        text, many = str(large), str(small)
        words = mpiapps_files("count", text)
        lines = mpiapps_files("count", text, "--only", "lines")
        pipe = ["parallel", "-j2", "--pipepart", "--block", BLOCK, "-a", text, "wc"]
        timers = ("list", "plan", "kernel", "gather")
        walk = mpiapps_files("count", many, timers=timers)
        rows = [
            ("words: wc -w", words, command("wc", "-w", text), 25),
            ("words: parallel --pipepart wc -w", words, command(*pipe, "-w"), 10),
            ("words: polars", words, script("polars", text), 5),
            ("words: duckdb", words, script("duckdb", text), 5),
            ("lines: wc -l", lines, command("wc", "-l", text), 1.2),
            ("100,000 small files: a loop in Python", walk,
             script("loop", many, python=sys.executable), 1.8),
        ]  # fmt: skip
        for table in write_tables(Path(scratch)):
            numbers = mpiapps_files("histogram", table, "--column", "x")
            numbers()
            suffix = Path(table).suffix[1:]
            rows += [
                (f"histogram of {suffix}: {peer}", numbers,
                 script(f"histogram-{peer}", table), 1)
                for peer in ("polars", "duckdb")
            ]  # fmt: skip
            if suffix == "csv":
                to_parquet = convert(table)
                to_parquet()
                rows += [
                    (f"convert to Parquet: {peer}", to_parquet,
                     script(f"convert-{peer}", table, python=python), 1)
                    for peer, python in {"polars": PYTHON, "duckdb": PYTHON,
                                         "pyarrow": sys.executable}.items()
                ]  # fmt: skip
        words(), lines(), walk()  # compile the kernels, fill the page cache
        print(f"{'seconds':44} {'ours':>8} {'peer':>8} {'ratio':>6} {'min':>6}")
        passed = [
            compare(title, ours, peer, minimum, options.rounds)
            for title, ours, peer, minimum in rows
            if options.only in title
        ]
    print(f"start of the program, not included: {median(START_SECONDS):.2f} s")
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
