"""`make bench-dask`: start, end and task rate of clusters, and typical programs.

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
PROGRAM = ("-m", "mpiapps.dask")
SEARCH = """
[search]
n_estimators = {low = 10, high = 60}
max_depth = {low = 3, high = 12}
"""


@dataclass(frozen=True)
class Row:
    """A measurement of mpiapps and a peer; if `greater`, greater values are better."""

    name: str
    own: Callable[[], float]
    peer: Callable[[], float]
    min_ratio: float | None
    greater: bool = False


def probe(cluster: str, tasks: str, ranks: int, *options: str) -> dict[str, Any]:
    """Return the values of dask_probe.py, its start and end times, and log lines."""
    begin = time.time()
    values = _probe(cluster, ranks, options, tasks)
    ended = time.time()
    return values | {"start": values["first"] - begin, "end": ended - values["end"]}


def _probe(
    cluster: str, ranks: int, options: tuple[str, ...], *args: str
) -> dict[str, Any]:
    """Return the values of dask_probe.py, and the number of its log lines."""
    program = (*PROGRAM, *options, PROBE) if cluster == "mpiapps" else (PROBE,)
    _, done = start(ranks, *program, cluster, *args)
    line = next(text for text in done.stdout.splitlines() if text[:1] == "{")
    values: dict[str, Any] = json.loads(line)
    return values | {"lines": len(done.stderr.splitlines())}


def timer(name: str, ntasks: int, *args: str) -> Callable[[], float]:
    """Return a function that measures one timer of a program, without its start."""
    return lambda: timings(ntasks, *args)[name]


def clusters() -> list[Row]:
    """Return the rows of start, end and task rate."""

    def of(cluster: str, ranks: int, key: str, tasks: str = "0") -> Callable[[], float]:
        def measure() -> float:
            value = probe(cluster, tasks, ranks)[key]
            return float(max(value) if isinstance(value, list) else value)

        return measure

    return [
        Row("start to first result, 4 ranks: dask-mpi", of("mpiapps", 4, "start"),
            of("dask-mpi", 4, "start"), 1.5),
        Row("end of client to end of job: dask-mpi", of("mpiapps", 4, "end"),
            of("dask-mpi", 4, "end"), 3),
        Row("no-op tasks/s, TLS: dask-mpi", of("mpiapps", 3, "rates", TASKS),
            of("dask-mpi", 4, "rates", TASKS), 0.95, greater=True),
        Row("no-op tasks/s, TLS: LocalCluster", of("mpiapps", 3, "rates", TASKS),
            of("local", 0, "rates", TASKS), 0.95, greater=True),
    ]  # fmt: skip


def many_tasks() -> list[Row]:
    """Return the rows of many tasks, against LocalCluster without TLS."""

    def of(cluster: str, key: str, *options: str) -> Callable[[], float]:
        sizes = ("20000", "0") if key == "map" else ("0", "50000")
        ranks = 3 if cluster == "mpiapps" else 0
        return lambda: float(_probe(cluster, ranks, options, *sizes)[key])

    variants = (("", (), None), (", no TLS", ("--insecure",), 1.0))
    names = {"map": "20,000 no-op tasks/s", "graph": "graph of 50,000, tasks/s"}
    return [
        Row(f"{name}{label}: LocalCluster, no TLS", of("mpiapps", key, *options),
            of("local-tcp", key), min_ratio, greater=True)
        for key, name in names.items()
        for label, options, min_ratio in variants
    ]  # fmt: skip


def transfers() -> list[Row]:
    """Return the row of transfers between workers, with and without TLS."""

    def of(*options: str) -> Callable[[], float]:
        return lambda: float(median(probe("mpiapps", "1", 3, *options)["transfers"]))

    return [Row("200 MB between workers, TLS: without", of(), of("--insecure"), None)]


def learning(directory: Path) -> list[Row]:
    """Return the rows of scikit-learn."""
    space = directory / "space.toml"
    space.write_text(SEARCH)
    program = ("-m", "mpiapps.crossval")
    search = (
        *program,
        *f"--data digits --folds 5 --n-iter 20 --params {space}".split(),
    )
    peers = [
        Row(f"search on digits, 2 ranks: {backend}", timer("fits", 2, *search),
            timer("fits", 0, *search, "--backend", backend, "--n-jobs", "2"), 1.0)
        for backend in ("loky", "multiprocessing", "ray")
    ]  # fmt: skip
    return [
        *peers,
        Row("leave-one-out forest, 2 ranks: 1 rank", timer("fits", 2, *program),
            timer("fits", 1, *program), 1.9),
    ]  # fmt: skip


def tips(directory: Path) -> list[Row]:
    """Return the rows of the taxi program, without imports, including reads."""
    trips = str(directory / "trips")
    subprocess.run([sys.executable, str(HERE / "make_taxi.py"), trips, "--files", "4",
                    "--rows", "3e6"], check=True)  # fmt: skip
    args = ("-m", "mpiapps.tips", trips)
    polars = [str(ROOT / ".bench/dask/bin/python"), str(HERE / "tips_peer.py"), trips]

    def by_polars() -> float:
        done = subprocess.run(polars, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1])

    return [
        Row("tips, 2 processors: dask.dataframe", timer("kernel", 2, *args),
            timer("kernel", 3, *args, "--engine", "dask"), 3),
        Row("tips, 2 processors: polars", timer("kernel", 2, *args), by_polars, 0.8),
    ]  # fmt: skip


def main() -> int:
    """Measure, and print a table; return 1 if a ratio is below its minimum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--only", default="", help="measure only rows whose name contains this"
    )
    options = parser.parse_args()
    failures = 0
    print(f"{'mpiapps against':44} {'mpiapps':>8} {'peer':>8} {'ratio':>6} {'min':>5}")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        directory = Path(name)
        rows = [
            *clusters(),
            *many_tasks(),
            *transfers(),
            *learning(directory),
            *tips(directory),
        ]
        for row in (row for row in rows if options.only in row.name):
            pairs = [(row.own(), row.peer()) for _ in range(options.rounds)]
            ratio = median(a / b if row.greater else b / a for a, b in pairs)
            failures += row.min_ratio is not None and ratio < row.min_ratio
            own, peer = (median(side) for side in zip(*pairs, strict=True))
            min_ratio = "" if row.min_ratio is None else f"{row.min_ratio:g}"
            print(f"{row.name:44} {own:8.3g} {peer:8.3g} {ratio:6.2f} {min_ratio:>5}",
                  flush=True)  # fmt: skip
    lines = probe("mpiapps", "0", 4)["lines"], probe("dask-mpi", "0", 4)["lines"]
    print(
        f"lines on standard error of a successful run: {lines[0]}, dask-mpi {lines[1]}"
    )
    return int(failures > 0 or lines[0] > 0)


if __name__ == "__main__":
    sys.exit(main())
