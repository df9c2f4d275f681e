"""Peers for bench_files.py: files_peer.py PEER PATH; `PEERS` lists them.

Prints the number of words or of numbers, and the seconds on two processors; for
tables without the import.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

BINS = 50
CLOCK = [0.0]  # start of the measurement


def with_polars(path: str) -> int:
    """Count words by the fastest of several queries."""
    os.environ["POLARS_MAX_THREADS"] = "2"
    import polars as pl

    lines = pl.scan_csv(path, has_header=False, separator="\x01", quote_char=None,
                        new_columns=["line"], schema={"line": pl.String})  # fmt: skip
    words = pl.col("line").str.count_matches(r"\S+").sum()
    return int(lines.select(words).collect(engine="streaming").item())


def with_duckdb(path: str) -> int:
    """Count words by the fastest of several queries."""
    import duckdb

    duckdb.execute("SET threads TO 2")
    row = duckdb.execute(
        "SELECT sum(len(line) - len(replace(line, ' ', '')) + 1) FROM read_csv(?,"
        " columns={'line': 'VARCHAR'}, header=false, delim='\x01', quote='',"
        " escape='', auto_detect=false)",
        [path],
    ).fetchone()
    return int(row[0]) if row else 0


def with_loop(path: str) -> int:
    """Count words of all files in a directory in a plain loop."""
    total = 0
    for directory, _, names in os.walk(path):
        for name in names:
            with Path(directory, name).open("rb") as stream:
                total += len(stream.read().split())
    return total


def histogram_with_polars(path: str) -> int:
    """Compute the mean and a histogram of column x of CSV or Parquet."""
    os.environ["POLARS_MAX_THREADS"] = "2"
    import polars as pl

    restart_clock()
    scan = pl.scan_parquet if path.endswith(".parquet") else pl.scan_csv
    x = scan(path).select("x").collect(engine="streaming")["x"]
    x.mean()
    return int(x.hist(bin_count=BINS)["count"].sum())


def histogram_with_duckdb(path: str) -> int:
    """Compute the mean and a histogram of column x of CSV or Parquet."""
    import duckdb

    restart_clock()
    duckdb.execute("SET threads TO 2")
    read = "read_parquet" if path.endswith(".parquet") else "read_csv"
    row = duckdb.execute(
        f"WITH t AS (SELECT x FROM {read}(?)), e AS (SELECT min(x) low, max(x) high,"
        " avg(x) FROM t), b AS (SELECT least(floor((x - low) / (high - low) * ?), ?)"
        " bin, count(*) n FROM t, e GROUP BY bin) SELECT sum(n) FROM b",
        [path, BINS, BINS - 1],
    ).fetchone()
    return int(row[0]) if row else 0


def convert_with_polars(path: str) -> int:
    """Convert CSV to Parquet."""
    os.environ["POLARS_MAX_THREADS"] = "2"
    import polars as pl

    restart_clock()
    pl.scan_csv(path).sink_parquet(f"{path}.parquet", compression="snappy")
    return 0


def convert_with_duckdb(path: str) -> int:
    """Convert CSV to Parquet."""
    import duckdb

    restart_clock()
    duckdb.execute("SET threads TO 2")
    duckdb.execute(f"COPY (FROM read_csv('{path}')) TO '{path}.parquet'")
    return 0


def convert_with_pyarrow(path: str) -> int:
    """Convert CSV to Parquet."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    restart_clock()
    pa.set_cpu_count(2)
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(path), f"{path}.parquet")
    return 0


def restart_clock() -> None:
    """Start the measurement again, after an import."""
    CLOCK[0] = time.perf_counter()


PEERS = {
    "polars": with_polars,
    "duckdb": with_duckdb,
    "loop": with_loop,
    "histogram-polars": histogram_with_polars,
    "histogram-duckdb": histogram_with_duckdb,
    "convert-polars": convert_with_polars,
    "convert-duckdb": convert_with_duckdb,
    "convert-pyarrow": convert_with_pyarrow,
}

if __name__ == "__main__":
    restart_clock()
    count = PEERS[sys.argv[1]](sys.argv[2])
    print(count, time.perf_counter() - CLOCK[0])
