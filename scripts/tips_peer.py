"""The result of mpiapps.tips computed by polars: tips_peer.py DIRECTORY.

Prints the trips, the mean percentage, and the seconds on two processors.
"""

from __future__ import annotations

import os
import sys
import time

os.environ["POLARS_MAX_THREADS"] = "2"

import polars as pl

BINS = 50


def main() -> None:
    """Run the query."""
    start = time.perf_counter()
    trips = pl.scan_parquet(
        f"{sys.argv[1]}/*.parquet", include_file_paths="file"
    ).filter((pl.col("payment_type") == 1) & (pl.col("fare_amount") > 0))
    percent = 100.0 * pl.col("tip_amount") / pl.col("fare_amount")
    bins = (percent * BINS / 100).floor().cast(pl.Int32).clip(-1, BINS).alias("bin")
    selected = trips.select("file", bins, percent.alias("percent"))
    parts = selected.group_by("file", "bin").agg(
        pl.len().alias("trips"), pl.col("percent").sum().alias("total")
    )
    table = parts.collect(engine="streaming")
    count, total = int(table["trips"].sum()), float(table["total"].sum())
    print(count, total / count, time.perf_counter() - start)


if __name__ == "__main__":
    main()
