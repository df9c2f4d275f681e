"""Who tips how much: the taxi question on Parquet files, by ranks or by Dask.

Of trips paid by card: the histogram of the tip in percent of the fare, and its mean, of
each file and of all. docs/tips.md leads here from a data frame.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main, option
from mpiapps.app.output import WholeFile, as_csv
from mpiapps.base import units

if TYPE_CHECKING:
    from mpiapps.comm.world import World

ENGINES = ("mpi", "dask")


@dataclass(frozen=True)
class Options:
    """Which files, and what is made of them."""

    files: tuple[str, ...] = option(
        (), "Parquet files of trips, folders or patterns", several="*",
        positional=True, metavar="FILE",
    )  # fmt: skip
    engine: str = option("mpi", "who counts", choices=ENGINES)
    bins: int = option(50, "intervals", least=1, most=10**6)
    range: tuple[float, float] = option(
        (0.0, 100.0), "of the intervals, in percent", parse=units.parse_interval,
        metavar="LOW:HIGH",
    )  # fmt: skip
    output: str = option("", "write the histograms to FILE, CSV", short="o")
    picture: str = option("", "draw the histogram into FILE, PNG", metavar="FILE")


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not go together. Local."""
    if not options.files:
        raise ValueError("name Parquet files of trips")


def run(world: World, options: Options) -> Result:
    """Count, on all ranks. Collective."""
    import numpy as np

    from mpiapps.filework.listing import expand
    from mpiapps.taxi.answer import answer, table
    from mpiapps.taxi.files import data_files
    from mpiapps.taxi.picture import load, picture

    targets: dict[str, WholeFile] = {}
    names: list[str] = []
    values: dict[str, Any] = {}
    try:
        with world.agree():
            if world.is_root:
                names = data_files(options.files, expand)
                if options.picture:
                    load()
                for each in ("output", "picture"):
                    if path := getattr(options, each):
                        targets[each] = WholeFile(Path(path))
        names = world.comm.bcast(names)
        edges = np.linspace(*options.range, options.bins + 1)
        parts = _count(options.engine)(world, names, edges)
        with world.agree():
            if world.is_root:
                values = answer(names, edges, parts)
                if "output" in targets:
                    targets["output"].commit(as_csv(table(values)))
                if "picture" in targets:
                    targets["picture"].commit(picture(values))
    finally:
        for target in targets.values():
            target.discard()
    return Result(values)


def _count(engine: str) -> Any:
    """Return the way of an engine; Dask is loaded for its own alone."""
    if engine == "dask":
        from mpiapps.taxi.frame import by_dask

        return by_dask
    from mpiapps.taxi.groups import by_ranks

    return by_ranks


PROGRAM = Program(
    "tips",
    "Count tips over fares of taxi trips.",
    Options,
    run,
    check,
    resumable=lambda _options: False,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
