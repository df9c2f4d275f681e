"""Write Parquet files of trips with the columns of New York's yellow taxi records.

usage: make_taxi.py DIRECTORY [--files N] [--rows N]

Each file is a month, written one row group at a time, with the same numbers in each
call. Names and types are those of the city's trip records since 2023; the distributions
are only similar.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

GROUP_ROWS = 2**17


def trips(rows: int, month: int, piece: int = 0, pieces: int = 1) -> pa.Table:
    """Return trips of a part of a month; months are counted from January 2024."""
    rng = np.random.default_rng([month, piece])
    first, end = (
        (np.datetime64("2024-01") + n).astype("datetime64[us]")
        for n in (month, month + 1)
    )
    length = (end - first) // pieces
    start = first + piece * length + np.sort(rng.integers(0, length.astype(int), rows))
    distance = np.round(rng.gamma(1.2, 2.7, rows), 2)
    fare = np.round(3 + 3.5 * distance + rng.normal(0, 2, rows), 2)
    fare[rng.random(rows) < 0.01] *= -1  # refunds, as in the records
    payment = rng.choice(np.arange(5), rows, p=[0.05, 0.75, 0.17, 0.01, 0.02])
    share = np.where(rng.random(rows) < 0.1, 0, rng.gamma(16, 0.016, rows))
    tip = np.where(payment == 1, np.round(np.abs(fare) * share, 2), 0.0)
    absent = rng.random(rows) < 0.05

    def nullable(values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=absent)

    def integers(low: int, high: int, kind: str = "int32") -> np.ndarray:
        return rng.integers(low, high, rows).astype(kind)

    def one_of(*values: float) -> np.ndarray:
        return rng.choice(np.array(values), rows)

    return pa.table({
        "VendorID": integers(1, 3),
        "tpep_pickup_datetime": start,
        "tpep_dropoff_datetime": start + integers(60, 3600, "timedelta64[s]"),
        "passenger_count": nullable(integers(1, 6, "int64")),
        "trip_distance": distance,
        "RatecodeID": nullable(integers(1, 7, "int64")),
        "store_and_fwd_flag": nullable(np.where(rng.random(rows) < 0.01, "Y", "N")),
        "PULocationID": integers(1, 266),
        "DOLocationID": integers(1, 266),
        "payment_type": payment.astype("int64"),
        "fare_amount": fare,
        "extra": one_of(0, 1, 2.5, 5),
        "mta_tax": one_of(0, 0.5),
        "tip_amount": tip,
        "tolls_amount": one_of(0, 0, 0, 6.94),
        "improvement_surcharge": one_of(0.3, 1),
        "total_amount": np.round(fare + tip, 2),
        "congestion_surcharge": nullable(one_of(0, 2.5)),
        "Airport_fee": nullable(one_of(0, 1.75)),
    })  # fmt: skip


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--files", type=int, default=4)
    parser.add_argument("--rows", type=float, default=1e6)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    for month in range(options.files):
        name = (
            options.directory
            / f"yellow_tripdata_{2024 + month // 12}-{month % 12 + 1:02}"
        )
        rows = int(options.rows)
        pieces = max(1, -(-rows // GROUP_ROWS))
        with parquet.ParquetWriter(f"{name}.parquet", trips(0, 0).schema) as file:
            for piece in range(pieces):
                group_rows = min(GROUP_ROWS, rows - piece * GROUP_ROWS)
                file.write_table(trips(group_rows, month, piece, pieces))


if __name__ == "__main__":
    main()
