"""Functions of the benchmarks: run programs and peers; compare them cell by cell.

A cell is one kind of work. Its peers have a floor each: the least ratio of the peer's
figure to ours; 0: none. Figures are seconds, or anything else of which less is better.
A fixed limit is a peer whose figure is constant.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from mpiapps.launch.mpiexec import command_line, find_launcher

FLOOR = 0.8  # of a peer that has no other
SMALL = 1e-3  # no floor holds for a peer whose figure is less
Timer = Callable[[], float]
Result = dict[str, Any]


def start(ntasks: int, *words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run Python with `words` on ranks, or alone if `ntasks` is 0.

    Return its wall time in s and its output; exit with its standard error if it fails.
    """
    command, variables = [sys.executable, *words], dict[str, str]()
    if ntasks:
        command, variables = command_line(find_launcher(), ntasks, words)
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.perf_counter() - begin
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return wall, done


def timings(ntasks: int, *words: str) -> dict[str, float]:
    """Return the timers of a program and the wall time of its process, in s."""
    wall, done = start(ntasks, *words, "--json", "-")
    record = json.loads(done.stdout)
    return {"wall": wall} | {k: v["max"] for k, v in record["timings"].items()}


class Figures:
    """Figures of a run that yields several of them, each for a cell of its own.

    Parameters
    ----------
    run : function
        Runs once, and returns the figures by name.
    """

    def __init__(self, run: Callable[[], Mapping[str, float]]) -> None:
        self._run = run
        self._unread: dict[str, list[float]] = defaultdict(list)

    def timer(self, name: str) -> Timer:
        """Return a function that returns a figure of a run, each only once."""

        def measure() -> float:
            if not self._unread[name]:
                for key, figure in self._run().items():
                    self._unread[key].append(figure)
            return self._unread[name].pop(0)

        return measure


@dataclass(frozen=True)
class Cell:
    """A kind of work.

    Attributes
    ----------
    title : str
        Unique.
    ours : function
        Returns the figure of mpiapps.
    peers : mapping of str to (function, float)
        What returns the figure of a peer (NaN: it failed), and the floor of its ratio.
    prepare : function
        Writes the inputs, unless they exist.
    """

    title: str
    ours: Timer
    peers: Mapping[str, tuple[Timer, float]]
    prepare: Callable[[], object] = lambda: None


def limit(figure: float) -> Timer:
    """Return a function that returns a fixed figure."""
    return lambda: figure


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file or directory beside `path`, then rename it.

    So one that exists is complete. The suffix of the other name is the same.
    """
    part = path.with_name(f"part-{path.name}")
    if part.is_dir():
        shutil.rmtree(part)
    write(part)
    part.replace(path)


def measured(cell: Cell, rounds: int) -> Result:
    """Return the figures of a cell. In each round all run, beginning with another one.

    The first one may pay for what the others use as well, such as memory that the host
    of a virtual machine provides.
    """
    cell.prepare()
    timers = {"ours": cell.ours} | {name: peer[0] for name, peer in cell.peers.items()}
    figures: dict[str, list[float]] = {name: [] for name in timers}
    names = list(timers)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            figures[name].append(timers[name]())
    floors = {name: floor for name, (_, floor) in cell.peers.items()}
    return {"title": cell.title, "figures": figures, "floors": floors}


def failed(result: Result) -> list[str]:
    """Return the names of ours and of the peers that failed in a round."""
    return [
        name
        for name, figures in result["figures"].items()
        if not all(map(math.isfinite, figures))
    ]


def ratios(result: Result) -> dict[str, float]:
    """Return the median over the rounds of each peer's ratio, unless one failed."""
    figures, without = result["figures"], failed(result)
    if "ours" in without or not all(figures["ours"]):
        return {}
    return {
        name: median(b / a for a, b in zip(figures["ours"], figures[name], strict=True))
        for name in result["floors"]
        if name not in without
    }


def margins(result: Result) -> dict[str, float]:
    """Return each peer's ratio as a multiple of its floor, the least one first."""
    floors = result["floors"]
    parts = {
        name: ratio / floors[name]
        if floors[name] and median(result["figures"][name]) >= SMALL
        else math.inf
        for name, ratio in ratios(result).items()
    }
    return dict(sorted(parts.items(), key=lambda pair: pair[1]))


def margin(result: Result) -> float:
    """Return the least margin; a cell below 1 misses a floor.

    It is 0 if a figure of ours is 0 or not finite, or if all peers with a floor failed.
    """
    parts, floors = margins(result), result["floors"]
    if not all(
        figure and math.isfinite(figure) for figure in result["figures"]["ours"]
    ):
        return 0.0
    if any(floors.values()) and not any(floors[name] for name in parts):
        return 0.0
    return min(parts.values(), default=math.inf)


def line(result: Result) -> str:
    """Return a line of the report: the peer that is closest to its floor first."""
    columns = [f"{result['title']:42} {median(result['figures']['ours']):9.3f}"]
    columns += [
        f"{name} {median(result['figures'][name]):.3f}"
        f" ({ratios(result)[name]:.2f}, {result['floors'][name]:g})"
        for name in margins(result)
    ]
    columns += [f"{name} failed" for name in failed(result)]
    return "  ".join(columns) + ("" if margin(result) >= 1 else "  *")


def report(results: Iterable[Result]) -> bool:
    """Print the worst ten cells, then all; return whether all floors are held."""
    table = sorted(results, key=margin)
    print(f"{'':42} {'ours':>9}  peers (ratio, floor), the closest to its floor first")
    for title, part in (("worst", table[:10]), ("all", table)):
        print(f"-- {title}", *map(line, part), sep="\n")
    missed = sum(margin(result) < 1 for result in table)
    peers = sum(name != "ours" for result in table for name in failed(result))
    print(f"{missed} of {len(table)} cells below a floor; {peers} peers failed")
    return not missed


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return the parser of the options that all surfaces have."""
    words = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--only", nargs="*", default=[""], metavar="TEXT",
                       help="cells whose title contains one of these")  # fmt: skip
    words.add_argument("--list", action="store_true", help="print the titles alone")
    words.add_argument("--json", default="", metavar="FILE",
                       help="file of all figures; cells that earlier runs left in it"
                            " are reported, too")  # fmt: skip
    words.add_argument("--scratch", default="", metavar="DIRECTORY",
                       help="keep the inputs there, and use them again")  # fmt: skip
    return words


def sweep(cells: Iterable[Cell], options: argparse.Namespace) -> int:
    """Measure the cells asked for, print, write JSON; return 1 if a floor is missed."""
    table = [cell for cell in cells if any(part in cell.title for part in options.only)]
    if options.list:
        print(*(cell.title for cell in table), sep="\n")
        return 0
    file = Path(options.json) if options.json else None
    earlier = json.loads(file.read_text()) if file and file.exists() else []
    results = {result["title"]: result for result in earlier}
    for number, cell in enumerate(table, 1):
        results[cell.title] = measured(cell, options.rounds)
        print(f"{number}/{len(table)}", line(results[cell.title]), file=sys.stderr)
        if file:
            replace(
                file, partial(Path.write_text, data=json.dumps([*results.values()]))
            )
    return int(not report(results.values()))
