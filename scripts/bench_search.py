"""`make bench-search`: searches of scikit-learn on ranks, against joblib's backends.

A cell is a search, or a `cross_val_score`, of fits of a given time and samples of a
given size: once as `MPIGridSearchCV`, once by the backend "mpiapps" of joblib, once as
the program `crossval`. All have two workers; ranks in Python have one more, which has
the search. Figures are seconds. Fits hash without the interpreter's lock, so threads
compute at the same time. Processes live through all cells, except those of `crossval`
and of multiprocessing. Floor: 0.9 of each backend.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from measure import Cell, parser, sweep, timings
from peers import Peers
from search_estimator import blocks_per_second
from search_peer import samples

HERE = Path(__file__).parent
WORKER = str(HERE / "search_peer.py")
BACKENDS = ("loky", "threading", "multiprocessing")
FLOOR = 0.9
WORKERS = 2
DATA = {"10 kB": 10**4, "1 MB": 10**6, "100 MB": 10**8, "1 GB": 10**9}
# Seconds of a fit: folds and candidates, with samples below 100 MB, and from there.
FITS = {1e-3: ((5, 100), (5, 4)), 1e-2: ((5, 40), (5, 4)), 0.1: ((5, 8), (5, 4)),
        1.0: ((5, 2), (5, 2)), 10.0: ((2, 2), (2, 2))}  # fmt: skip


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
    return timings(
        ranks, "-m", "mpiapps.crossval", "search_estimator:Busy", "--data", str(data),
        "--cv", "kfold", "--folds", str(request["folds"]), "--params", str(space),
        "--n-iter", str(request["candidates"]), "--backend", backend,
        *(("--n-jobs", str(workers)) if workers else ()),
    )["fits"]  # fmt: skip


def cells(peers: Peers, directory: Path) -> Iterator[Cell]:
    """Yield the cells."""
    for title, request in requests():
        if request["way"] == "program":
            timer, own = partial(program, request, directory), "mpi"
        else:
            timer, own = partial(_seconds, peers, request), "mpiapps"
        others = {name: (partial(timer, name), FLOOR) for name in BACKENDS}
        yield Cell(title, partial(timer, own), others)


def _seconds(peers: Peers, request: dict[str, Any], backend: str) -> float:
    seconds = peers.ask(backend, request)
    return math.nan if seconds is None else float(seconds)


def main() -> int:
    """Measure, print, write JSON; return 1 if a floor is missed."""
    options = parser(__doc__).parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["PYTHONPATH"] = f"{HERE}:{os.environ.get('PYTHONPATH', '')}"
    peers = Peers(WORKER, {"mpiapps": WORKERS + 1})
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        try:
            return sweep(cells(peers, Path(options.scratch or name)), options)
        finally:
            peers.close()


if __name__ == "__main__":
    sys.exit(main())
