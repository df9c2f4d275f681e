"""What each operation of the program does with its options, and what it reports."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mpiapps.comm.world import World
from mpiapps.filework.choices import COUNTS
from mpiapps.filework.columns import Column, Extent, Histogram, Quotes, inside_quotes
from mpiapps.filework.count import Count
from mpiapps.filework.digest import Digest, line_with, manifest_line
from mpiapps.filework.images import Images
from mpiapps.filework.listing import Listing
from mpiapps.filework.operation import Operation
from mpiapps.filework.own import Own
from mpiapps.filework.share import Found

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
    rows = np.reshape(found.values, (-1, 5))
    total = rows.sum(axis=0, dtype=np.int64).tolist()
    values = {COUNTS[n]: total[n] for n in columns}
    if total[4] and options.encoding == "utf-8" and "characters" in values:
        values["invalid"] = total[4]
    if options.top:
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

    Three times through the files: for quotes, for the extent, for the counts.
    """
    options, world = work.options, work.world
    found = work.share(Quotes(), "quotes")
    inside = world.comm.bcast(inside_quotes(found.by_file()))
    source = Column(options.column, options.delimiter, inside)
    extent = work.share(Extent(source), "extent")
    parts = [part for part in extent.values if part[0]]
    others = sum(part[1] for part in extent.values)
    low, high = options.range or _extent(parts)
    low, high = world.comm.bcast((low, high))
    edges = np.linspace(low, high, options.bins + 1)
    name = f"counts-{low!r}-{high!r}-{options.bins}"
    counted = work.share(Histogram(source, edges), name)
    counts = np.sum([*counted.values, [0] * (options.bins + 2)], axis=0).tolist()
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


def _moments(parts: list[list[float]]) -> dict[str, Any]:
    count = sum(int(part[0]) for part in parts)
    if not count:
        return {"numbers": 0}
    total = math.fsum(part[4] for part in parts)
    least, most = min(part[2] for part in parts), max(part[3] for part in parts)
    return {"numbers": count, "mean": total / count, "least": least, "largest": most}


def _extent(parts: list[list[float]]) -> tuple[float, float]:
    if not parts:
        return 0.0, 1.0
    low, high = min(part[2] for part in parts), max(part[3] for part in parts)
    return (low, high) if low < high else (low - 0.5, high + 0.5)
