"""Peers for bench_files.py: files_peer.py polars|duckdb|loop PATH.

Prints the number of words, and the seconds on two processors.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


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
    """Count words of all files in a folder in a plain loop."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with Path(folder, name).open("rb") as stream:
                total += len(stream.read().split())
    return total


if __name__ == "__main__":
    count = {"polars": with_polars, "duckdb": with_duckdb, "loop": with_loop}
    start = time.perf_counter()
    words = count[sys.argv[1]](sys.argv[2])
    print(words, time.perf_counter() - start)
