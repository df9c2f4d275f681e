"""Descriptions of columns, on any number of ranks, against csv, float and NumPy."""

import csv
import gzip
import json
import statistics
from fractions import Fraction

import numpy as np
import pytest
import zstandard

from tests.fileops.runs import run_files

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]
HARD = [1e16, 1.0, -1e16, 0.1, 5e-324, -0.0, 0.0, 1e300, -1.7e308, 3.0, 3.0]


def table(path, columns, header=True, **options):
    with path.open("w", newline="") as stream:
        rows = csv.writer(stream, **options)
        if header:
            rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))


def expected(numbers, percentiles):
    """Return the row of a column, by exact fractions and `numpy.percentile`."""
    exact = list(map(Fraction, numbers))
    mean = float(sum(exact) / len(exact))
    quantiles = [float(np.percentile(numbers, q)) for q in percentiles]
    return mean, statistics.stdev(exact), min(numbers), quantiles, max(numbers)


def close(row, numbers, percentiles=(25, 50, 75)):
    mean, std, least, quantiles, largest = expected(numbers, percentiles)
    names = [f"{q:g}%" for q in percentiles]
    assert row["count"] == len(numbers)
    assert (row["mean"], row["min"], row["max"]) == (mean, least, largest)
    assert row["std"] == pytest.approx(float(std), rel=1e-13)
    assert [row[name] for name in names] == pytest.approx(quantiles, rel=1e-15)


def rows_of(result):
    values = result.values
    names = [name for name in values if name not in ("files", "failed")]
    return {
        column: {name: values[name][n] for name in names}
        for n, column in enumerate(values["column"])
    }


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("kept", [0, 500, 2**24])
def test_columns_of_all_formats_have_the_same_description(
    world, place, on_root, monkeypatch, kept
):
    import pyarrow as pa
    import pyarrow.parquet

    monkeypatch.setattr("mpiapps.fileops.describe.MAX_KEPT_NUMBERS", kept)
    rng = np.random.default_rng(4)
    x = [*HARD, *rng.lognormal(0, 9, 489).tolist()]
    n = rng.integers(-3, 3, 500).tolist()
    words = ['some "words"', "two\nlines", "", "a,b", "NA"] * 100

    def write():
        table(place / "t.csv", {"x": x, "w": words, "n": n}, lineterminator="\r\n")
        data = (place / "t.csv").read_bytes()
        (place / "u.csv.gz").write_bytes(gzip.compress(data))
        (place / "v.csv.zst").write_bytes(zstandard.compress(data))
        columns = pa.table({"n": pa.array(n, "i2"), "w": words, "x": x})
        pyarrow.parquet.write_table(columns, place / "w.pq", row_group_size=97)

    on_root(write)
    names = ("t.csv", "u.csv.gz", "v.csv.zst", "w.pq")
    asked = {"column": ("n", "x"), "percentiles": (0, 2.5, 50, 99, 100)}
    results = [run_files(world, "describe", place / name, **asked) for name in names]
    if world.is_root:
        for result in results:
            assert (result.notes, result.values) == ([], results[0].values)
            rows = rows_of(result)
            close(rows["n"], n, asked["percentiles"])
            close(rows["x"], x, asked["percentiles"])
    everything = run_files(world, "describe", place / "t.csv")
    if world.is_root:
        rows = rows_of(everything)
        assert list(rows) == ["x", "w", "n"]
        counts = [rows["w"][name] for name in ("count", "missing", "invalid", "mean")]
        assert counts == [0, 200, 300, None]
        close(rows["n"], n)


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_numbers(world, place, on_root, count):
    numbers = [2.5, -1.0, 7.0][:count]
    on_root(lambda: table(place / "t.csv", {"x": numbers}))
    output = place.parent / "out.csv"
    result = run_files(world, "describe", place, column="x", output=str(output))
    if world.is_root:
        (row,) = csv.DictReader(output.read_text().splitlines())
        assert row["count"] == str(count)
        assert row["50%"] == (repr(float(np.median(numbers))) if count else "")
        assert (result.values["std"][0] is None) == (count < 2)


@pytest.mark.usefixtures("small_segments")
def test_a_bad_number_is_located(world, place, on_root):
    lines = [f'"a\nb",{n}' for n in range(300)]
    lines[200] = "c,12O"

    def write():
        text = "\r\n".join(["w,x", *lines])
        (place / "t.csv").write_text(text, newline="")
        (place / "t.csv.gz").write_bytes(gzip.compress(text.encode()))

    on_root(write)
    for name in ("t.csv", "t.csv.gz"):
        result = run_files(world, "describe", place / name, column="x")
        if world.is_root:
            assert result.notes == [
                f"{place / name}: line 402: '12O' in column x is not a finite number"
            ]
            assert rows_of(result)["x"]["invalid"] == 1


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_byte_order_mark_belongs_to_no_field(world, place, on_root, suffix):
    data = '\ufeff"1",2\n'.encode() + b'3,"4\n"\n' * 60
    pack = gzip.compress if suffix else bytes
    on_root((place / f"t.csv{suffix}").write_bytes, pack(data))
    result = run_files(world, "describe", place)
    if world.is_root:
        assert (result.values["count"], result.values["invalid"]) == ([61, 61], [0, 0])
        assert result.values["min"] == [1.0, 2.0]


@pytest.mark.usefixtures("small_segments")
def test_a_file_with_line_ends_of_cr_alone_fails(world, place, on_root):
    on_root((place / "t.csv").write_bytes, b"a,b\r" + b"1,2\r" * 60)
    result = run_files(world, "describe", place)
    assert result.exit_code == 3
    if world.is_root:
        assert "t.csv: ValueError: a line ends with CR alone" in result.notes[0]


def test_columns_that_are_missing_or_ambiguous(world, place, on_root):
    def write():
        (place / "a.csv").write_text("x,y\n1,2\n3,4\n")
        (place / "b.csv").write_text("y,z\n5,6\n")
        (place / "c.csv").write_text("y,y\n7,8\n")
        (place / "d.csv").write_text("")
        (place / "e.csv").write_text("# a comment\n1,2\n,-\n")

    on_root(write)
    result = run_files(world, "describe", place)
    numbers = run_files(world, "describe", place / "e.csv")
    if world.is_root:
        assert result.exit_code == 3
        assert rows_of(result)["y"]["count"] == 2
        notes = [note.removeprefix(f"{place}/") for note in result.notes]
        assert notes[:2] == [
            "b.csv: ValueError: no column x; the first record is y, z",
            "c.csv: ValueError: no column x; the first record is y, y",
        ]
        assert "d.csv: ValueError: no column x" in notes[2]
        rows = rows_of(numbers)
        assert list(rows) == ["1", "2"]
        assert [(row["count"], row["missing"]) for row in rows.values()] == [(1, 1)] * 2
    ambiguous = run_files(world, "describe", place / "c.csv", column="y")
    second = run_files(world, "describe", place / "c.csv", column=("2", "1", "2"))
    if world.is_root:
        assert "2 columns are named y; give the column's number" in ambiguous.notes[0]
        assert second.values["min"] == [8.0, 7.0, 8.0]


def test_tables_of_text_alone_have_no_column_of_numbers(world, place, on_root):
    def write():
        import pyarrow as pa
        import pyarrow.parquet

        texts = pa.table({"a": ["x", "y"], "b": ["1", "2"]})
        pyarrow.parquet.write_table(texts, place / "a.parquet")
        pyarrow.parquet.write_table(pa.table({}), place / "b.parquet")

    on_root(write)
    result = run_files(world, "describe", place)
    on_root(lambda: (place / "c.csv").write_text("a,n\n4,5\n"))
    several = run_files(world, "describe", place)
    if world.is_root:
        assert (result.exit_code, result.values["column"]) == (3, [])
        for note in result.notes:
            assert "ValueError: has no column of numbers" in note
        assert len(result.notes) == 2
        assert rows_of(several)["n"]["max"] == 5
        assert "a.parquet: ValueError: no column n" in several.notes[0]


@pytest.mark.parametrize("operation", ["describe", "histogram"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_damaged_parquet_file_fails_for_its_true_reason(
    world, place, on_root, operation, beside
):
    def write():
        import pyarrow as pa
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.table({"a": [1, 2]}), place / "a.parquet")
        content = (place / "a.parquet").read_bytes()
        (place / "cut.parquet").write_bytes(content[:-5])
        (place / "empty.parquet").write_bytes(b"")
        (place / "text.parquet").write_bytes(b"a,b\n1,2\n")
        if not beside:
            (place / "a.parquet").unlink()

    on_root(write)
    options = {"column": "a"} if operation == "histogram" else {}
    result = run_files(world, operation, place, **options)
    if world.is_root:
        assert (result.exit_code, result.values["files"]) == (3, int(beside))
        assert "cut.parquet: ArrowInvalid: Parquet magic bytes" in result.notes[0]
        assert "empty.parquet: ArrowInvalid: Parquet file size" in result.notes[1]
        assert "text.parquet: ArrowInvalid: Parquet magic bytes" in result.notes[2]


def test_percentiles_that_differ_in_late_digits(world, place, on_root):
    on_root(lambda: table(place / "t.csv", {"x": range(10_001)}))
    percentiles = (33.33331, 33.33332, 50.0, 1e-7)
    result = run_files(world, "describe", place, percentiles=percentiles)
    if world.is_root:
        row = rows_of(result)["x"]
        names = ["33.33331%", "33.33332%", "50%", "1e-07%"]
        assert [*row][-5:] == [*names, "max"]
        wanted = np.percentile(np.arange(10_001), percentiles).tolist()
        assert [row[name] for name in names] == pytest.approx(wanted, rel=1e-15)


@pytest.mark.usefixtures("small_segments")
def test_a_description_is_resumed(world, place, on_root):
    numbers = np.random.default_rng(2).normal(size=800).tolist()
    on_root(lambda: table(place / "t.csv", {"x": numbers}))
    on_root(lambda: table(place / "u.csv", {"x": numbers[::-1]}))
    directory = str(place.parent / "journals")
    first = run_files(world, "describe", place, column="x", directory=directory)
    again = run_files(world, "describe", place, column="x", directory=directory)
    on_root(lambda: table(place / "u.csv", {"x": [-1.0, *numbers]}))
    changed = run_files(world, "describe", place, column="x", directory=directory)
    if world.is_root:
        close(rows_of(first)["x"], numbers + numbers)
        assert json.dumps(again.values) == json.dumps(first.values)
        close(rows_of(changed)["x"], [*numbers, -1.0, *numbers])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_empty_file_has_no_columns(world, place, on_root, suffix):
    data = gzip.compress(b"") if suffix else b""
    on_root((place / f"t.csv{suffix}").write_bytes, data)
    result = run_files(world, "describe", place)
    assert result.exit_code == 0
    if world.is_root:
        assert rows_of(result) == {}
        assert (result.values["files"], result.values["failed"]) == (1, 0)
