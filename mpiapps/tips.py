"""Tips of taxi trips in Parquet files, counted by MPI ranks, Dask or polars.

For trips paid by card: histogram and mean of the tip in percent of the fare, of each
file and of all. docs/tips.md starts from a version with pandas.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main, option
from mpiapps.app.output import as_csv
from mpiapps.app.picture import require_pictures
from mpiapps.base import units
from mpiapps.storage.atomic_file import AtomicFile

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext

# Dask and polars are imported for their own engine alone.
ENGINES = {
    "mpi": "mpiapps.taxi_tips.row_groups:count_by_ranks",
    "dask": "mpiapps.taxi_tips.dask_frame:count_by_dask",
    "polars": "mpiapps.taxi_tips.polars_frame:count_by_polars",
}


@dataclass(frozen=True)
class Options:
    """The files, the histogram, and its outputs."""

    files: tuple[str, ...] = option(
        (), "Parquet files of trips, directories or patterns", nargs="*",
        positional=True, metavar="FILE", file="read",
    )  # fmt: skip
    engine: str = option(
        "mpi",
        "mpi: ranks count row groups; dask: dask.dataframe on a cluster of the ranks;"
        " polars: each rank counts files by polars",
        choices=tuple(ENGINES),
    )
    dataset: str = option(
        "auto",
        "data set of the files: auto, yellow, green, ride-share, or a FILE.toml",
        metavar="NAME",
    )
    bins: int = option(50, "number of intervals", min=1, max=10**6)
    range: tuple[float, float] = option(
        (0.0, 100.0),
        "range of the intervals, in percent",
        type=units.parse_interval,
        metavar="LOW:HIGH",
    )
    output: str = option(
        "", "write the histograms to FILE as CSV", short="o", file="written"
    )
    plot: str = option(
        "", "plot the histogram to FILE as PNG", metavar="FILE", file="written"
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options are inconsistent."""
    if not options.files:
        raise ValueError(
            "no files: name Parquet files of trips, directories or patterns"
        )


def run(ctx: RunContext, options: Options) -> Result:
    """Count the tips. Collective."""
    import numpy as np

    from mpiapps.base.file_names import data_files
    from mpiapps.taxi_tips.plot import draw
    from mpiapps.taxi_tips.summary import summarize, table

    world = ctx.world
    targets: dict[str, AtomicFile] = {}
    names: list[str] = []
    values: dict[str, Any] = {}
    try:
        with world.agree():
            if world.is_root:
                names = data_files(options.files)
                if options.plot:
                    require_pictures()
                for name in ("output", "plot"):
                    if path := getattr(options, name):
                        targets[name] = AtomicFile(Path(path))
        names = world.comm.bcast(names)
        edges = np.linspace(*options.range, options.bins + 1)
        count = resolve_name(ENGINES[options.engine])
        parts = count(ctx, names, edges, options.dataset)
        with world.agree():
            if world.is_root:
                values = summarize(names, edges, parts)
                if "output" in targets:
                    targets["output"].commit(as_csv(table(values)))
                if "plot" in targets:
                    targets["plot"].commit(draw(values))
    finally:
        for target in targets.values():
            target.discard()
    return Result(values)


PROGRAM = Program(
    "tips",
    "Compute the distribution of tips of taxi trips.",
    Options,
    run,
    check,
    resumable=lambda options: options.engine == "mpi",
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
