"""Tips against NumPy and pandas, on any number of ranks and on Dask."""

import csv
import json
import runpy

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from mpiapps.app.arrow import numbers
from mpiapps.kernels.tips import count_tips
from mpiapps.taxi_tips.summary import COLUMNS
from tests.commands import ROOT, on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")

trips = runpy.run_path(str(ROOT / "scripts" / "make_taxi.py"))["trips"]
PERCENTS = st.one_of(st.floats(-10, 120), st.sampled_from([0.0, 20.0, 40.0, 100.0]))


@given(percents=st.lists(PERCENTS, max_size=30), bins=st.integers(1, 7))
def test_the_kernel_equals_numpy(percents, bins):
    tips, edges = np.array(percents), np.linspace(0, 100, bins + 1)
    counts = np.zeros(bins, np.int64)
    hundred, card = np.full(len(tips), 100.0), np.ones(len(tips))
    count, total = count_tips(tips, hundred, card, edges, counts)
    exact = 100.0 * tips / hundred
    expected, _ = np.histogram(exact, bins, (0, 100))
    assert counts.tolist() == expected.tolist()
    assert count == len(tips)
    assert total == pytest.approx(exact.sum(), abs=1e-9)


def test_the_kernel_skips_invalid_trips():
    inf = np.inf
    tips = np.array([1.0, 1.0, 1.0, np.nan, 1.0, 3.0, inf, -inf, inf, 1e307])
    fares = np.array([10.0, 0.0, -5.0, 10.0, np.nan, 10.0, 10.0, 10.0, inf, 1.0])
    paid = np.array([1.0, 1, 1, 1, 1, 2, 1, 1, 1, 1])
    counts = np.zeros(2, np.int64)
    assert count_tips(tips, fares, paid, np.linspace(0, 100, 3), counts) == (1, 10.0)
    assert counts.tolist() == [1, 0]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    place = tmp_path_factory.mktemp("taxi")
    for month, rows in enumerate((5000, 1, 0, 3000)):
        name = place / f"yellow_tripdata_2024-0{month + 1}.parquet"
        table = trips(rows, month)
        if month == 0:  # infinite amounts
            at = table.column_names.index("tip_amount")
            with_inf = table.column(at).to_numpy().copy()
            with_inf[:2] = np.inf, -np.inf
            table = table.set_column(at, "tip_amount", pa.array(with_inf))
        parquet.write_table(table, name, row_group_size=700)
    for other in ("_SUCCESS", "_common_metadata", ".DS_Store", ".part-0.parquet.crc",
                  "_temporary/0/part-0.parquet", ".hidden/part-0.parquet"):  # fmt: skip
        (place / other).parent.mkdir(parents=True, exist_ok=True)
        (place / other).write_text("not data")
    return place


def expected_percentages(directory):
    """Return the percentages of each file, by pandas."""
    import pandas as pd

    percentages = {}
    for name in sorted(directory.glob("*.parquet")):
        table = pd.read_parquet(name)
        table = table[(table.payment_type == 1) & (table.fare_amount > 0)]
        percent = 100 * table.tip_amount / table.fare_amount
        percentages[str(name)] = percent[np.isfinite(percent)]
    return percentages


def tips(mpi, size, *words):
    done = on_ranks(mpi, size, "-m", "mpiapps.tips", *words, "--json", "-")
    assert done.code == 0, done.err
    return json.loads(done.out)["values"]


@pytest.mark.parametrize(
    ("mpi", "size", "engine"),
    [("openmpi", 1, "mpi"), ("mpich", 3, "mpi"), ("impi", 2, "mpi"),
     ("openmpi", 4, "mpi"), ("openmpi", 3, "dask"), ("openmpi", 2, "polars")],
)  # fmt: skip
def test_the_result_equals_that_of_pandas(mpi, size, engine, directory):
    values = tips(mpi, size, str(directory), "--engine", engine, "--bins", "7")
    by_file = expected_percentages(directory)
    percentages = np.concatenate(list(by_file.values()))
    counts, _ = np.histogram(percentages, 7, (0, 100))
    assert values["counts"] == counts.tolist()
    assert values["trips"] == len(percentages)
    assert values["outside"] == len(percentages) - counts.sum()
    assert values["mean_percent"] == pytest.approx(percentages.mean(), rel=1e-12)
    assert values["files"] == list(by_file)
    for mean, percent in zip(values["file_means"], by_file.values(), strict=True):
        expected = pytest.approx(percent.mean(), rel=1e-12) if len(percent) else None
        assert mean == expected
    for counts, percent in zip(values["file_counts"], by_file.values(), strict=True):
        assert counts == np.histogram(percent, 7, (0, 100))[0].tolist()


def test_the_sums_have_the_same_bits_on_any_number_of_ranks(directory):
    values = [tips("openmpi", size, str(directory)) for size in (1, 2, 3)]
    assert values[0] == values[1] == values[2]


def test_the_histogram_is_written_and_drawn(directory, tmp_path):
    out, png = tmp_path / "out.csv", tmp_path / "out.png"
    words = ("-o", str(out), "--plot", str(png), "--range", "0:50", "--bins", "5")
    values = tips("openmpi", 2, str(directory), *words)
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [int(row["trips"]) for row in rows] == values["counts"]
    for name, counts in zip(values["files"], values["file_counts"], strict=True):
        assert [int(row[name]) for row in rows] == counts
    assert [float(row["to"]) for row in rows] == [10, 20, 30, 40, 50]
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (".", ["a", "b/c"]),
        ("*", ["a", "b/c"]),
        ("**", ["a", "b/c"]),
        ("b", ["b/c"]),
        ("_no/*", ["_no/d"]),
        ("_no", ["_no/d"]),
        ("_SUCCESS", ["_SUCCESS"]),
        ("_S*", None),
    ],
)
def test_metadata_files_are_skipped(path, names, tmp_path):
    from mpiapps.base.errors import InputError
    from mpiapps.base.file_names import data_files

    place = tmp_path / "_in" / ".here"  # parts of the argument itself are not checked
    for name in ("a", "b/c", "b/.c.crc", "_no/d", ".no/e", "_SUCCESS", ".DS_Store"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    if names is None:
        with pytest.raises(InputError, match=r"begin with _ or \. are skipped"):
            data_files([str(place / path)])
        return
    files = data_files([str(place / path)])
    assert sorted(files) == sorted(str(place / name) for name in names)


def test_a_mean_that_is_not_finite_is_none():
    from mpiapps.taxi_tips.summary import GroupCounts, summarize

    counts, edges = np.zeros(1, np.int64), np.array([0.0, 100.0])
    for totals in ([1e308, 1e308], [np.inf], [np.inf, -np.inf], [np.nan]):
        parts = [GroupCounts(0, n, 2, t, counts) for n, t in enumerate(totals)]
        values = summarize(["a"], edges, parts)
        json.dumps(values, allow_nan=False)
        assert values["mean_percent"] is None


@pytest.mark.parametrize(
    ("kind", "share"), [(pa.float32(), 0.2), (pa.decimal128(12, 4), 0.21)]
)
def test_other_numeric_types_are_counted_alike(kind, share):
    from mpiapps.taxi_tips.dask_frame import count_partition

    fares = np.arange(100, 2100, dtype=np.float64)
    columns = (fares * share, fares, np.ones(len(fares)))
    table = pa.table({
        name: pa.array(column).cast(kind)
        for name, column in zip(COLUMNS, columns, strict=True)
    })  # fmt: skip
    edges = np.linspace(0, 100, 51)
    trips = tuple(numbers(table.column(name)) for name in COLUMNS)
    counts = np.zeros(50, np.int64)
    count_tips(*trips, edges, counts)
    row = count_partition(table.to_pandas(), edges)
    assert row.iloc[0, 2:].tolist() == counts.tolist()


def test_a_damaged_file_is_named(tmp_path):
    file = tmp_path / "trips.parquet"
    parquet.write_table(trips(50_000, 0), file)
    content = bytearray(file.read_bytes())
    content[100 : len(content) * 9 // 10] = b"\xff" * (len(content) * 9 // 10 - 100)
    file.write_bytes(content)
    done = on_ranks("openmpi", 2, "-m", "mpiapps.tips", str(file))
    assert done.code == 74
    assert f"cannot read {file}" in done.err


def test_a_directory_without_files_is_an_error(tmp_path):
    done = on_ranks("mpich", 2, "-m", "mpiapps.tips", str(tmp_path))
    assert done.code == 65
    assert "no data files in" in done.err


@pytest.mark.parametrize("content", ["none", "text", "other columns", "words"])
def test_other_files_are_refused(content, tmp_path):
    file = tmp_path / "file.parquet"
    if content == "text":
        file.write_text("hello")
    if content == "other columns":
        parquet.write_table(pa.table({"tip_amount": [1.0]}), file)
    if content == "words":
        columns = "tip_amount", "fare_amount", "payment_type"
        parquet.write_table(pa.table({name: ["1"] for name in columns}), file)
    engine = "dask" if content in {"none", "words"} else "mpi"
    done = on_ranks("mpich", 2, "-m", "mpiapps.tips", str(file), "--engine", engine)
    assert done.code == (74 if content == "none" else 65)
    assert done.err.count("mpiapps: error") == 1
    assert str(file) in done.err
