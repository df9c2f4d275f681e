"""`make bench-matrix`, first part: a surface of cells, against NumPy; HeAT if asked.

A cell is an operation on a shape, a dtype and a layout.
One process per library and number of ranks lives through all cells. For each cell, one
library runs while the others wait; NumPy has as many threads as the others have ranks.
The first call of a cell and later calls are apart, and medians over rounds count, each
round in new processes. The worst cells are printed first. Floors: where NumPy takes
1 ms or more, 0.8 of its speed, 0.7 for first calls; below 1 ms, 50 us more than NumPy;
the geometric mean of the former at least 1. Exit code 1 if one is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from pathlib import Path
from statistics import geometric_mean, median
from typing import IO, Any

from measure import replace

from mpiapps.launch.mpiexec import command_line, find_launcher

ROOT = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("surface_worker.py")
HEAT = ROOT / ".bench" / "heat" / "bin"
FLOOR, FIRST_FLOOR, SMALL, MAX_EXTRA = 0.8, 0.7, 1e-3, 50e-6  # s
PAUSE = 0.1  # s: OpenBLAS's threads spin for some 30 ms after a product
Cell = dict[str, Any]

Shape = tuple[int, ...]
SQUARE = tuple((n, n) for n in (64, 256, 1024, 4096))
TALL = (
    *((10**5, n) for n in (1, 8, 64, 256)),
    *((10**6, n) for n in (1, 8, 64)),
)
WIDE = ((8, 10**5), (64, 10**6))
PRIME = ((1009, 1013), (7919, 127))
DENSE = (*SQUARE, (8192, 8192), *TALL, *WIDE, *PRIME)
FACTORED = tuple((n, n) for n in (64, 256, 1024, 2048, 4096))
PRODUCTS = (  # m, k, n
    *((n, n, n) for n in (64, 256, 1024, 2048, 4096)),
    *((10**5, 8, 8), (10**6, 64, 64), (10**5, 256, 256), (10**6, 8, 1)),
    *((64, 64, 10**6), (8, 10**5, 8), (64, 10**6, 64), (512, 131072, 512)),
    *((4096, 8, 4096), (1009, 1013, 1019), (4096, 4096, 64)),
)
OPERATIONS: dict[tuple[Shape, ...], tuple[str, ...]] = {
    DENSE: (
        *("zeros", "random", "redistribute", "read", "write", "A + B", "2 A", "exp"),
        *("transpose", "sum", "sums of columns", "sums of rows", "stds of columns"),
        *("norm", "norm 1", "norm inf", "matvec"),
    ),
    PRODUCTS: ("multiply",),
    (*SQUARE, *TALL, *PRIME): ("A.T B",),
    (*SQUARE, *TALL, *PRIME, (64, 10**4)): ("gram",),
    FACTORED: ("cholesky", "lu", "solve", "triangular", "inverse", "condition"),
    (*TALL, (1024, 1024), (7919, 127)): ("qr", "svd values"),
    ((256, 256), (2048, 2048), (4096, 1024)): ("qr",),
    FACTORED[:-1]: ("eigh", "eigvalsh"),
}
# Other dtypes and layouts, on fewer shapes.
KEYS = ("operation", "shape", "dtype", "layout")
FEW = {(1024, 1024), (4096, 4096), (10**6, 64), (1024,) * 3, (10**6, 64, 64)}


def cells(dtypes: list[str], layouts: list[str]) -> Iterator[Cell]:
    """Yield the cells: all shapes in float64 and the default layout, else a few."""
    for shapes, operations in OPERATIONS.items():
        for operation, dtype, layout in product(operations, dtypes, layouts):
            for shape in shapes:
                values = operation, shape, dtype, layout
                cell = dict(zip(KEYS, values, strict=True))
                if is_default(cell) or shape in FEW:
                    yield cell


def is_default(cell: Cell) -> bool:
    """Return whether a cell has the dtype and the layout that all shapes have."""
    return (cell["dtype"], cell["layout"]) == ("f8", "default")


class Peer:
    """A library in a process of its own, or on ranks."""

    def __init__(self, library: str, ranks: int) -> None:
        self._directory = tempfile.TemporaryDirectory()
        pipes = [Path(self._directory.name, str(rank)) for rank in range(ranks)]
        words = [str(WORKER), library, self._directory.name]
        environ = dict(os.environ)
        for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            environ.pop(name, None)
        if library == "numpy":
            pipes = pipes[:1]
            command, variables = [sys.executable, *words], {}
            variables["OPENBLAS_NUM_THREADS"] = str(ranks)
        elif library == "heat":
            mpiexec = [str(HEAT / "mpiexec"), "-n", str(ranks), "--allow-run-as-root"]
            command, variables = [*mpiexec, str(HEAT / "python"), *words], {}
            variables["OMP_NUM_THREADS"] = "1"
        else:
            command, variables = command_line(find_launcher(), ranks, words)
            variables = {**variables, "OPENBLAS_NUM_THREADS": "1"}
        for pipe in pipes:
            os.mkfifo(pipe)
        self._process = subprocess.Popen(
            command, env=environ | variables, stdout=subprocess.PIPE, text=True
        )
        self._pipes: list[IO[str]] = [pipe.open("w") for pipe in pipes]

    def time(self, cell: Cell) -> tuple[float, list[float]] | None:
        """Return the seconds of the first call and of later ones."""
        time.sleep(PAUSE)
        for pipe in self._pipes:
            print(json.dumps(cell), file=pipe, flush=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self._process.args!r} ended at {cell}")
        timed: tuple[float, list[float]] | None = json.loads(line)
        return timed

    def close(self) -> None:
        """End the process."""
        for pipe in self._pipes:
            pipe.close()
        self._process.wait(timeout=60)
        self._directory.cleanup()


def measure(
    table: list[Cell], ranks: int, rounds: int, libraries: list[str], log: Path | None
) -> None:
    """Add the seconds of each library, a list per round, to the cells.

    Each measurement is also appended to a file, as a line of JSON: an interrupted run
    leaves what it measured.
    """
    for number in range(rounds):
        peers = {library: Peer(library, ranks) for library in libraries}
        for done, cell in enumerate(table):
            asked = {
                key: cell[key] for key in ("operation", "shape", "dtype", "layout")
            }
            # In turn the first: who comes second finds memory that the host provided.
            order = list(peers.items())[:: 1 if (number + done) % 2 else -1]
            for library, peer in order:
                if library == "heat" and not is_default(cell):
                    continue
                timed = peer.time(asked)
                if timed is None:
                    continue
                cell.setdefault(library, []).append(timed)
                if log is not None:
                    known = {"ranks": ranks, "round": number, "library": library}
                    with log.open("a") as stream:
                        print(json.dumps(asked | known | {"s": timed}), file=stream)
            print(
                f"\r{number + 1}/{rounds}: {done + 1}/{len(table)}",
                end="",
                file=sys.stderr,
            )
        for peer in peers.values():
            peer.close()
    print(file=sys.stderr)


def summarise(cell: Cell, libraries: list[str]) -> None:
    """Add medians, ratios to NumPy, and whether the floors are held."""
    for library in libraries:
        if library in cell:
            firsts, later = zip(*cell[library], strict=True)
            cell[f"{library} first"] = median(firsts)
            cell[f"{library} later"] = median(s for call in later for s in call)
    for call in ("first", "later"):
        cell[f"ratio {call}"] = cell[f"numpy {call}"] / cell[f"ours {call}"]
    extra = cell["ours later"] - cell["numpy later"]
    cell["small"] = cell["numpy later"] < SMALL
    cell["holds"] = (
        extra <= MAX_EXTRA
        if cell["small"]
        else cell["ratio later"] >= FLOOR and cell["ratio first"] >= FIRST_FLOOR
    )
    worst = min(cell["ratio later"] / FLOOR, cell["ratio first"] / FIRST_FLOOR)
    cell["margin"] = MAX_EXTRA / max(extra, 1e-9) if cell["small"] else worst


def line(cell: Cell) -> str:
    """Return a line of the report."""
    shape = " x ".join(map(str, cell["shape"]))
    name = f"{cell['operation']} {shape} {cell['dtype']} {cell['layout']}"
    columns = [f"{name:44} {cell['ranks']}"]
    for call in ("first", "later"):
        times = (cell[f"{library} {call}"] for library in ("ours", "numpy"))
        columns += [f"{1e3 * time:10.3f}" for time in times]
        columns.append(f"{cell[f'ratio {call}']:6.2f}")
    heat = cell.get("heat later", math.nan)
    columns.append(f"{1e3 * heat:10.3f}{'' if cell['holds'] else '  *'}")
    return " ".join(columns)


def report(table: list[Cell]) -> bool:
    """Print the worst cells, then all; return whether all floors are held."""
    table.sort(key=lambda cell: cell["margin"])
    large = [cell["ratio later"] for cell in table if not cell["small"]]
    mean = geometric_mean(large) if large else math.nan
    missed = sum(not cell["holds"] for cell in table)
    print(f"{'ms':46} {'first':>10} {'NumPy':>10} {'ratio':>6}", end=" ")
    print(f"{'later':>10} {'NumPy':>10} {'ratio':>6} {'HeAT':>10}")
    for title, part in (("worst", table[:10]), ("all", table)):
        print(f"-- {title}")
        for cell in part:
            print(line(cell))
    print(f"{missed} of {len(table)} cells below their floor; geometric mean", end=" ")
    print(f"of the cells of 1 ms and more: {mean:.2f}")
    return not missed and not mean < 1


def main() -> int:
    """Measure, print, write JSON; return 1 if a floor is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", type=int, nargs="*", default=[2, 1])
    parser.add_argument("--only", default="", help="operations whose name contains it")
    parser.add_argument("--dtypes", nargs="*", default=["f8", "f4", "c16"])
    parser.add_argument(
        "--layouts", nargs="*", default=["default", "rows", "columns", "cyclic"]
    )
    parser.add_argument(
        "--heat", action="store_true", help="also HeAT: float64, default layout"
    )
    parser.add_argument(
        "--json",
        type=Path,
        help="file of all seconds; FILE.jsonl has them as they are measured",
    )
    options = parser.parse_args()
    libraries = ["ours", "numpy", *(["heat"] if options.heat else [])]
    if options.heat and not HEAT.exists():
        parser.error(f"no {HEAT}; make bench-matrix SURFACE=--heat installs it")
    log = options.json and options.json.with_name(options.json.name + ".jsonl")
    if log:
        log.unlink(missing_ok=True)
    result: list[Cell] = []
    for ranks in options.ranks:
        table = [
            cell | {"ranks": ranks}
            for cell in cells(options.dtypes, options.layouts)
            if options.only in cell["operation"]
        ]
        measure(table, ranks, options.rounds, libraries, log)
        for cell in table:
            summarise(cell, libraries)
        result += table
    holds = report(result)
    if options.json:
        replace(options.json, partial(Path.write_text, data=json.dumps(result)))
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
