"""Peers of bench_files.py: files_peer.py OPERATION-PEER PATH [COLUMN].

Prints a result and the seconds on two threads or processes, without the import of the
library or the start of the processes.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

BINS, TOP, THREADS = 50, 10, 2
PERCENTILES = (0.25, 0.5, 0.75)
Query = Callable[[str, str], object]


def imported(name: str) -> Any:
    """Return a library, limited to two threads, or a pool of two processes."""
    if name == "pillow":
        import PIL.Image

        PIL.Image.init()
    if name in ("loop", "pillow"):
        return Pool(THREADS)
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    if name == "polars":
        import polars

        return polars
    if name == "duckdb":
        import duckdb

        duckdb.execute(f"SET threads TO {THREADS}")
        return duckdb
    import pyarrow as pa
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.dataset
    import pyarrow.parquet

    pa.array([1.0]).to_numpy()  # imports NumPy, and pandas
    pa.set_cpu_count(THREADS)
    pa.set_io_thread_count(THREADS)
    return pa


def polars_scan(pl: Any, path: str) -> Any:
    """Return a lazy frame of CSV or Parquet."""
    return (pl.scan_parquet if path.endswith(".parquet") else pl.scan_csv)(path)


def duckdb_table(path: str) -> str:
    """Return the SQL for the table in a file."""
    read = "read_parquet" if path.endswith(".parquet") else "read_csv"
    return f"{read}('{path}')"


def arrow_column(pa: Any, path: str, column: str) -> Any:
    """Return a column of CSV or Parquet."""
    if path.endswith(".parquet"):
        return pa.parquet.read_table(path, columns=[column])[column]
    options = pa.csv.ConvertOptions(include_columns=[column])
    return pa.csv.read_csv(path, convert_options=options)[column]


def histogram_polars(pl: Any, path: str, column: str) -> object:
    """Compute the mean and a histogram."""
    x = polars_scan(pl, path).select(column).collect(engine="streaming")[column]
    return x.mean(), x.hist(bin_count=BINS)["count"].sum()


def histogram_duckdb(duckdb: Any, path: str, column: str) -> object:
    """Compute the mean and a histogram."""
    return duckdb.execute(
        f"WITH t AS (SELECT {column} x FROM {duckdb_table(path)}),"
        " e AS (SELECT min(x) low, max(x) high, avg(x) FROM t),"
        " b AS (SELECT least(floor((x - low) / (high - low) * ?), ?) bin, count(*) n"
        " FROM t, e GROUP BY bin) SELECT sum(n) FROM b",
        [BINS, BINS - 1],
    ).fetchone()


def histogram_pyarrow(pa: Any, path: str, column: str) -> object:
    """Compute the mean and a histogram."""
    import numpy as np

    x = arrow_column(pa, path, column)
    return pa.compute.mean(x), np.histogram(x.drop_null().to_numpy(), BINS)[0].sum()


def describe_polars(pl: Any, path: str, column: str) -> object:
    """Compute counts, moments, extremes and percentiles."""
    x = pl.col(column)
    figures = {"n": x.count(), "null": x.null_count(), "mean": x.mean(), "std": x.std(),
               "min": x.min(), "max": x.max()}  # fmt: skip
    figures["points"] = x.quantile(list(PERCENTILES), interpolation="linear")
    return polars_scan(pl, path).select(**figures).collect(engine="streaming").rows()


def describe_duckdb(duckdb: Any, path: str, column: str) -> object:
    """Compute counts, moments, extremes and percentiles."""
    return duckdb.execute(
        "SELECT count(x), count(*), avg(x), stddev_samp(x), min(x), max(x),"
        f" quantile_cont(x, {list(PERCENTILES)})"
        f" FROM (SELECT {column} x FROM {duckdb_table(path)})"
    ).fetchone()


def describe_pyarrow(pa: Any, path: str, column: str) -> object:
    """Compute counts, moments, extremes and percentiles."""
    x = arrow_column(pa, path, column)
    compute = pa.compute
    moments = compute.mean(x), compute.stddev(x, ddof=1), compute.min_max(x)
    return len(x), x.null_count, moments, compute.quantile(x, list(PERCENTILES))


def convert_polars(pl: Any, path: str, _: str) -> object:
    """Convert CSV to Parquet."""
    return pl.scan_csv(path).sink_parquet(f"{path}.parquet", compression="snappy")


def convert_duckdb(duckdb: Any, path: str, _: str) -> object:
    """Convert CSV to Parquet."""
    return duckdb.execute(f"COPY (FROM {duckdb_table(path)}) TO '{path}.parquet'")


def convert_pyarrow(pa: Any, path: str, _: str) -> object:
    """Convert CSV to Parquet."""
    return pa.parquet.write_table(pa.csv.read_csv(path), f"{path}.parquet")


def top_polars(pl: Any, path: str, _: str) -> object:
    """Return the most frequent words."""
    lines = pl.scan_csv(path, has_header=False, separator="\x01", quote_char=None,
                        new_columns=["line"], schema={"line": pl.String})  # fmt: skip
    words = lines.select(pl.col("line").str.split(" ").explode().alias("word"))
    counts = words.group_by("word").len().top_k(TOP, by="len")
    return counts.collect(engine="streaming").rows()


def top_duckdb(duckdb: Any, path: str, _: str) -> object:
    """Return the most frequent words."""
    return duckdb.execute(
        "SELECT word, count(*) n FROM (SELECT unnest(string_split(line, ' ')) word FROM"
        " read_csv(?, columns={'line': 'VARCHAR'}, header=false, delim='\x01',"
        " quote='', escape='', auto_detect=false, max_line_size=10000000))"
        f" GROUP BY word ORDER BY n DESC LIMIT {TOP}",
        [path],
    ).fetchall()


def counts(path: str) -> tuple[int, int, int]:
    """Return the lines, words and bytes of a file."""
    content = Path(path).read_bytes()
    return content.count(b"\n"), len(content.split()), len(content)


def count_loop(pool: Any, path: str, _: str) -> object:
    """Count lines, words and bytes of all files in a directory, in two processes."""
    files = [f"{Path(where, name)}" for where, _, names in os.walk(path)
             for name in names]  # fmt: skip
    return [sum(column) for column in zip(*pool.map(counts, files), strict=True)]


def flipped(path: Path) -> None:
    """Write an image mirrored."""
    from PIL import Image

    with Image.open(path) as image:
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mirrored.save(path.parent.with_suffix(".out") / path.name)


def resized(path: Path) -> None:
    """Write an image in half its size."""
    from PIL import Image

    with Image.open(path) as image:
        half = image.resize(
            (image.width // 2, image.height // 2), Image.Resampling.LANCZOS
        )
        half.save(path.parent.with_suffix(".out") / path.name)


def over_images(pool: Any, function: Callable[[Path], None], path: str) -> object:
    """Call a function for each image in a directory, in two processes."""
    output = Path(path).with_suffix(".out")
    output.mkdir()
    return len(pool.map(function, list(Path(path).iterdir()), chunksize=4))


def flip_pillow(pool: Any, path: str, _: str) -> object:
    """Write images mirrored, in two processes."""
    return over_images(pool, flipped, path)


def resize_pillow(pool: Any, path: str, _: str) -> object:
    """Write images in half their size, in two processes."""
    return over_images(pool, resized, path)


def main() -> None:
    """Run a peer."""
    name, path, column = (*sys.argv[1:], "")[:3]
    _, _, peer = name.partition("-")
    library = imported(peer)
    shutil.rmtree(Path(path).with_suffix(".out"), ignore_errors=True)
    begin = time.perf_counter()
    result = globals()[name.replace("-", "_")](library, path, column)
    print(result, time.perf_counter() - begin)


if __name__ == "__main__":
    main()
