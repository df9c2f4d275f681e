"""What each operation of the program does with its options, and what it reports."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mpiapps.comm.world import World
from mpiapps.filework.choices import COUNTS
from mpiapps.filework.columns import KEPT, Column, Extent, Histogram
from mpiapps.filework.count import ROW, Count, sums_of
from mpiapps.filework.digest import Digest, line_with, manifest_line
from mpiapps.filework.header import Style
from mpiapps.filework.images import Images
from mpiapps.filework.listing import Listing
from mpiapps.filework.operation import Operation
from mpiapps.filework.own import Own
from mpiapps.filework.quotes import Quotes, inside_quotes
from mpiapps.filework.share import Found
from mpiapps.kernels.moments import mean

WIDTH = 2**10  # units in the last place, of a range that holds one large number
Done = tuple[dict[str, Any], list[str]]  # values, and lines of the output


class Work(Protocol):
    """One run: its files, and what came of the operations on them.

    Attributes
    ----------
    world : World
    options
        Those of the program.
    listing : Listing
    wrong : dict of int to str
        Why files are bad.
    recorded : bool
        Whether results are kept in journals.
    """

    world: World
    options: Any
    listing: Listing
    wrong: dict[int, str]
    recorded: bool

    def share(self, operation: Operation, name: str = "") -> Found:
        """Do an operation on all files, recorded under a name. Collective."""
        ...


def count(work: Work) -> Done:
    """Count lines, words, characters, bytes. Collective."""
    options = work.options
    counting = Count(
        options.encoding,
        options.only,
        plain=options.plain,
        top=options.top > 0,
        valid=options.valid,
        recorded=work.recorded,
    )
    found = work.share(counting)
    wanted = options.only or COUNTS
    columns = [n for n, name in enumerate(COUNTS) if name in wanted]
    rows = sums_of(found.files, np.reshape(found.values, (-1, ROW)))
    total = rows.sum(axis=0, dtype=np.int64).tolist()
    values = {COUNTS[n]: total[n] for n in columns}
    if total[4] and options.encoding == "utf-8" and "characters" in values:
        values["invalid"] = total[4]
    if options.top:
        with work.world.timed("top"):
            top = counting.most(work.world, options.top, work.wrong)
        values["top"] = [f"{w.decode(errors='backslashreplace')}:{n}" for w, n in top]
        return values, [f"{n} {os.fsdecode(word)}\n" for word, n in top]
    lines = []
    if options.output and len(rows):
        firsts = np.flatnonzero(np.diff(found.files, prepend=-1))
        each = np.add.reduceat(rows, firsts)[:, columns].tolist()
        names = (work.listing.names[file] for file in found.files[firsts].tolist())
        pairs = zip(each, names, strict=True)
        lines = [line_with(" ".join(map(str, row)) + " ", name) for row, name in pairs]
    return values, lines


def manifest(work: Work) -> Done:
    """Write a manifest of digests. Collective."""
    found = work.share(Digest())
    names = work.listing.names
    return {}, [
        manifest_line(names[file], digest).decode(errors="surrogateescape")
        for file, (digest,) in found.by_file().items()
    ]


def flip(work: Work) -> Done:
    """Turn images. Collective."""
    options = work.options
    names = work.listing.names
    images = Images(options.by, Path(options.into), options.format, names)
    found = work.share(images)
    return {}, [line_with("", target) for target in found.values]


def histogram(work: Work) -> Done:
    """Count the numbers of a column in intervals. Collective.

    Three times through the files: for quotes, for the extent, for the counts. The third
    time those are left out whose numbers are in memory since the second; results that
    are recorded do without.
    """
    options, world = work.options, work.world
    style = Style(options.delimiter, options.quote, options.header)
    source = Column(options.column, style)
    if style.quote:
        found = work.share(Quotes(source), "quotes")
        source.inside = world.comm.bcast(inside_quotes(found.by_file()))
    extent = Extent(source, 0 if work.recorded else KEPT)
    found = work.share(extent, "extent")
    parts = [part for part in found.values if part[0]]
    others = sum(part[1] for part in found.values)
    low, high = options.range or _extent(parts)
    low, high = world.comm.bcast((low, high))
    edges = _edges(low, high, options.bins)
    name = f"counts-{low!r}-{high!r}-{options.bins}"
    done = set().union(*world.comm.allgather(list(extent.kept_numbers)))
    histogram = Histogram(source, edges, done)
    counted = work.share(histogram, name)
    with world.timed("kernel"):
        good = (v for (f, _), v in extent.kept_numbers.items() if f not in work.wrong)
        kept = histogram.counts(values for parts in good for values in parts)
    total = np.zeros_like(kept)
    world.comm.Reduce(kept, total, root=world.root)
    counts = np.sum([total, *filter(None, counted.values)], axis=0).tolist()
    values = {**_moments(parts), "others": others, "low": low, "high": high}
    values |= {"below": counts[-2], "above": counts[-1]}
    rows = zip(edges[:-1].tolist(), edges[1:].tolist(), counts[:-2], strict=True)
    lines = [f"{left!r},{right!r},{n}\n" for left, right, n in rows]
    return values, ["low,high,count\n", *lines]


def own(work: Work) -> Done:
    """Call a function. Collective."""
    options = work.options
    found = work.share(Own(options.paths[0], records=options.records))
    lines = []
    for file, parts in found.by_file().items():
        for start, value in parts:
            row = {"path": work.listing.names[file], "start": start, "value": value}
            lines.append(json.dumps(row) + "\n")
    return {"results": len(lines)}, lines


DO: dict[str, Callable[[Work], Done]] = {
    "count": count,
    "hash": manifest,
    "flip": flip,
    "histogram": histogram,
    "map": own,
}


def _moments(parts: list[list[Any]]) -> dict[str, Any]:
    count = sum(int(part[0]) for part in parts)
    if not count:
        return {"numbers": 0}
    middle = mean(count, [(part[4], part[5]) for part in parts])
    least, most = min(part[2] for part in parts), max(part[3] for part in parts)
    return {"numbers": count, "mean": middle, "least": least, "largest": most}


def _extent(parts: list[list[Any]]) -> tuple[float, float]:
    if not parts:
        return 0.0, 1.0
    low, high = min(part[2] for part in parts), max(part[3] for part in parts)
    if low < high:
        return low, high
    half, most = max(0.5, WIDTH * math.ulp(low)), sys.float_info.max
    return max(low - half, -most), min(high + half, most)


def _edges(low: float, high: float, bins: int) -> np.ndarray:
    """Return the ends of equal intervals, also of a range that is no float64 itself."""
    if math.isfinite(high - low):
        return np.linspace(low, high, bins + 1)
    return 2 * np.linspace(low / 2, high / 2, bins + 1)
