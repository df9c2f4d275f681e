"""`make bench-dask`: start, end and rate of clusters, and what people run on them.

Every ratio compares two measurements of one round; rounds are interleaved, and the
median over the rounds counts. Peers: dask-mpi's initialize() with 4 ranks,
LocalCluster, joblib's backends with 2 workers, polars with 2 threads (in .bench/dask).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measure import start, timings

HERE = Path(__file__).parent
ROOT = HERE.parent
PROBE = str(HERE / "dask_probe.py")
TASKS = "1000"
OURS = ("-m", "mpiapps.dask")
SEARCH = """
[search]
n_estimators = {low = 10, high = 60}
max_depth = {low = 3, high = 12}
"""


@dataclass(frozen=True)
class Row:
    """Something measured of ours and of a peer; `greater` is better, or smaller."""

    name: str
    ours: Callable[[], float]
    theirs: Callable[[], float]
    least: float | None
    greater: bool = False


def probe(way: str, tasks: str, ranks: int, *options: str) -> dict[str, Any]:
    """Return what dask_probe.py found, when it began and ended, and what it wrote."""
    words = (*OURS, *options, PROBE) if way == "ours" else (PROBE,)
    begin = time.time()
    _, done = start(ranks, *words, way, tasks)
    ended = time.time()
    line = next(each for each in done.stdout.splitlines() if each[:1] == "{")
    found: dict[str, Any] = json.loads(line)
    found["lines"] = len(done.stderr.splitlines())
    return found | {"start": found["first"] - begin, "over": ended - found["end"]}


def timer(name: str, ntasks: int, *words: str) -> Callable[[], float]:
    """Return what measures the seconds of one timer of a program, without its start."""
    return lambda: timings(ntasks, *words)[name]


def clusters() -> list[Row]:
    """Return the rows of start, end and rate."""

    def of(way: str, ranks: int, key: str, tasks: str = "0") -> Callable[[], float]:
        def measured() -> float:
            value = probe(way, tasks, ranks)[key]
            return float(max(value) if isinstance(value, list) else value)

        return measured

    return [
        Row("start to first result, 4 ranks: dask-mpi", of("ours", 4, "start"),
            of("dask-mpi", 4, "start"), 1.5),
        Row("end of client to end of job: dask-mpi", of("ours", 4, "over"),
            of("dask-mpi", 4, "over"), 3),
        Row("no-op tasks/s, TLS: dask-mpi", of("ours", 3, "rates", TASKS),
            of("dask-mpi", 4, "rates", TASKS), 0.95, greater=True),
        Row("no-op tasks/s, TLS: LocalCluster", of("ours", 3, "rates", TASKS),
            of("local", 0, "rates", TASKS), 0.95, greater=True),
    ]  # fmt: skip


def transfers() -> list[Row]:
    """Return the row of data between workers, with TLS and without."""

    def of(*options: str) -> Callable[[], float]:
        return lambda: float(median(probe("ours", "1", 3, *options)["transfers"]))

    return [Row("200 MB between workers, TLS: without", of(), of("--insecure"), None)]


def learning(folder: Path) -> list[Row]:
    """Return the rows of scikit-learn."""
    space = folder / "space.toml"
    space.write_text(SEARCH)
    program = ("-m", "mpiapps.crossval")
    search = (*program, *f"--data digits --folds 5 --draws 20 --params {space}".split())
    peers = [
        Row(f"search on digits, 2 ranks: {backend}", timer("fits", 2, *search),
            timer("fits", 0, *search, "--backend", backend, "--jobs", "2"), 1.0)
        for backend in ("loky", "multiprocessing", "ray")
    ]  # fmt: skip
    return [
        *peers,
        Row("leave-one-out forest, 2 ranks: 1 rank", timer("fits", 2, *program),
            timer("fits", 1, *program), 1.9),
    ]  # fmt: skip


def tips(folder: Path) -> list[Row]:
    """Return the rows of the taxi question: all is loaded, nothing is read yet."""
    trips = str(folder / "trips")
    subprocess.run([sys.executable, str(HERE / "make_taxi.py"), trips, "--files", "4",
                    "--rows", "3e6"], check=True)  # fmt: skip
    words = ("-m", "mpiapps.tips", trips)
    polars = [str(ROOT / ".bench/dask/bin/python"), str(HERE / "tips_peer.py"), trips]

    def by_polars() -> float:
        done = subprocess.run(polars, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    return [
        Row("tips, 2 processors: dask.dataframe", timer("kernel", 2, *words),
            timer("kernel", 3, *words, "--engine", "dask"), 3),
        Row("tips, 2 processors: polars", timer("kernel", 2, *words), by_polars, 0.8),
    ]  # fmt: skip


def main() -> int:
    """Measure, and print a table; return 1 if a ratio is below what is expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows with this in their name")
    given = parser.parse_args()
    low = 0
    print(f"{'ours against':44} {'ours':>8} {'theirs':>8} {'ratio':>6} {'least':>5}")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder = Path(name)
        rows = [*clusters(), *transfers(), *learning(folder), *tips(folder)]
        for row in (each for each in rows if given.only in each.name):
            pairs = [(row.ours(), row.theirs()) for _ in range(given.rounds)]
            ratio = median(a / b if row.greater else b / a for a, b in pairs)
            low += row.least is not None and ratio < row.least
            ours, theirs = (median(side) for side in zip(*pairs, strict=True))
            least = "" if row.least is None else f"{row.least:g}"
            print(f"{row.name:44} {ours:8.3g} {theirs:8.3g} {ratio:6.2f} {least:>5}",
                  flush=True)  # fmt: skip
    lines = probe("ours", "0", 4)["lines"], probe("dask-mpi", "0", 4)["lines"]
    print(f"lines on standard error of a good run: {lines[0]}, dask-mpi {lines[1]}")
    return int(low > 0 or lines[0] > 0)


if __name__ == "__main__":
    sys.exit(main())
