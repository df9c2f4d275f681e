"""`make bench-search`: searches of scikit-learn on ranks, against joblib's backends.

A cell is a search, or a `cross_val_score`, of fits of a given time and samples of a
given size: once as `MPIGridSearchCV`, once by the backend "mpiapps" of joblib, once as
the program `crossval`. All have two workers; ranks in Python have one more, which has
the search. Figures are seconds. Fits hash without the interpreter's lock, so threads
compute at the same time. Processes live through all cells, except those of `crossval`
and of multiprocessing. Floor: 0.9 of each backend.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import Cell, parser, sweep, timings
from search_estimator import blocks_per_second
from search_peer import samples

from mpiapps.launch.mpiexec import command_line, find_launcher

HERE = Path(__file__).parent
WORKER = str(HERE / "search_peer.py")
BACKENDS = ("loky", "threading", "multiprocessing")
FLOOR = 0.9
WORKERS = 2
DATA = {"10 kB": 10**4, "1 MB": 10**6, "100 MB": 10**8, "1 GB": 10**9}
# Seconds of a fit: folds and candidates, with samples below 100 MB, and from there.
FITS = {1e-3: ((5, 100), (5, 4)), 1e-2: ((5, 40), (5, 4)), 0.1: ((5, 8), (5, 4)),
        1.0: ((5, 2), (5, 2)), 10.0: ((2, 2), (2, 2))}  # fmt: skip


class Processes:
    """A process, or ranks, for each backend; started when it is first used."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def _start(self, backend: str) -> subprocess.Popen[str]:
        command, variables = [sys.executable, WORKER, backend], dict[str, str]()
        if backend == "mpiapps":
            command, variables = command_line(
                find_launcher(), WORKERS + 1, [WORKER, backend]
            )
        return subprocess.Popen(
            command,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, backend: str, request: Any) -> float:
        """Return the seconds of a cell."""
        if backend not in self._processes:
            self._processes[backend] = self._start(backend)
        process = self._processes[backend]
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(request), file=process.stdin, flush=True)
        return float(json.loads(process.stdout.readline() or "NaN"))

    def close(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            assert process.stdin is not None
            print("null", file=process.stdin, flush=True)
            process.wait()


def requests() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the titles and requests of all cells."""
    speed = blocks_per_second()
    for data, nbytes in DATA.items():
        for seconds, sizes in FITS.items():
            folds, candidates = sizes[nbytes >= 10**8]
            for way in ("search", "joblib", "program"):
                title = f"{way}: {folds * candidates} fits of {seconds:g} s, {data}"
                yield title, {
                    "way": way, "folds": folds, "candidates": candidates,
                    "nbytes": nbytes, "blocks": round(seconds * speed),
                }  # fmt: skip


def program(request: dict[str, Any], directory: Path, backend: str) -> float:
    """Return the seconds that the fits of `crossval` take, with the workers' start."""
    x, y = samples(request["nbytes"])
    data = directory / f"{len(x)}.npy"
    if not data.exists():
        np.save(data, np.column_stack([x, y]))
    space = directory / "space.toml"
    candidates = list(range(request["candidates"]))
    space.write_text(
        f"[fixed]\nblocks = {request['blocks']}\n[search]\ncandidate = {candidates}\n"
    )
    ranks, workers = (WORKERS, 0) if backend == "mpi" else (0, WORKERS)
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(HERE), os.environ.get("PYTHONPATH", "")]
    )
    return timings(
        ranks, "-m", "mpiapps.crossval", "search_estimator:Busy", "--data", str(data),
        "--cv", "kfold", "--folds", str(request["folds"]), "--params", str(space),
        "--n-iter", str(request["candidates"]), "--backend", backend,
        *(("--n-jobs", str(workers)) if workers else ()),
    )["fits"]  # fmt: skip


def cells(processes: Processes, directory: Path) -> Iterator[Cell]:
    """Yield the cells."""
    for title, request in requests():
        if request["way"] == "program":
            timer, own = partial(program, request, directory), "mpi"
        else:
            timer, own = partial(_seconds, processes, request), "mpiapps"
        peers = {name: (partial(timer, name), FLOOR) for name in BACKENDS}
        yield Cell(title, partial(timer, own), peers)


def _seconds(processes: Processes, request: dict[str, Any], backend: str) -> float:
    return processes.seconds(backend, request)


def main() -> int:
    """Measure, print, write JSON; return 1 if a floor is missed."""
    options = parser(__doc__).parse_args()
    processes = Processes()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        try:
            return sweep(cells(processes, Path(options.scratch or name)), options)
        finally:
            processes.close()


if __name__ == "__main__":
    sys.exit(main())
