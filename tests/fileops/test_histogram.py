"""Histograms of columns, on any number of ranks, against NumPy."""

import csv
import gzip
from fractions import Fraction

import numpy as np
import pytest

from tests.fileops.runs import run_files

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]


@pytest.mark.usefixtures("small_segments")
def test_a_histogram_equals_that_of_numpy(world, place, on_root):
    rng = np.random.default_rng(3)
    numbers = [round(x, 3) for x in rng.normal(size=800).tolist()]

    def write():
        with (place / "t.csv").open("w") as stream:
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerow(["id", 'a "name"', "x"])
            for n, number in enumerate(numbers):
                words = ['some "words"', "two\nlines", "", "a,b"][n % 4]
                rows.writerow([n, words, number if n % 10 else "none"])

    on_root(write)
    output = place.parent / "out.csv"
    result = run_files(
        world, "histogram", place / "t.csv", column="x", output=str(output), bins=7
    )
    if world.is_root:
        wanted = [x for n, x in enumerate(numbers) if n % 10]
        assert (result.values["numbers"], result.values["others"]) == (720, 80)
        assert result.values["mean"] == pytest.approx(np.mean(wanted))
        rows = list(csv.DictReader(output.read_text().splitlines()))
        counts = [int(row["count"]) for row in rows]
        assert counts == np.histogram(wanted, 7)[0].tolist()
    part = run_files(
        world, "histogram", place / "t.csv", column="3", range=(-1.0, 1.0), bins=2
    )
    if world.is_root:
        inside = [x for x in wanted if -1 <= x <= 1]
        assert part.values["below"] == sum(x < -1 for x in wanted)
        assert part.values["numbers"] == len(inside) + sum(abs(x) > 1 for x in wanted)
    missing = run_files(world, "histogram", place / "t.csv", column="y")
    assert missing.exit_code == 3


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("directory", ["", "journals"])
def test_histograms_of_several_columns_are_those_of_each(
    world, place, on_root, directory
):
    rng = np.random.default_rng(5)

    def write():
        for name in ("one", "two"):
            rows = [
                f"{n},{x!r},{10 * x!r}" for n, x in enumerate(rng.random(300).tolist())
            ]
            text = "\n".join(["n,x,y", *rows, "no,number,"])
            (place / f"{name}.csv").write_text(text)
        (place / "without-y.csv").write_text("n,x\n1000,1000\n")

    on_root(write)
    output = place.parent / "out.csv"
    several = {"column": ("y", "x", "n"), "bins": 4, "output": str(output)}
    if directory:
        several["directory"] = str(place.parent / directory)
    for _ in range(2):  # the second one resumes
        result = run_files(world, "histogram", place, **several)
    assert result.exit_code == 3
    good = [place / "one.csv", place / "two.csv"]
    rows, values = ["column,low,high,count"], []
    for name in several["column"]:
        single = place.parent / f"{name}.csv"
        alone = run_files(
            world, "histogram", *good, column=name, bins=4, output=str(single)
        )
        values.append(alone.values)
        if world.is_root:
            lines = single.read_text().splitlines()[1:]
            rows += [f"{name},{line}" for line in lines]
    if world.is_root:
        assert result.values["column"] == ["y", "x", "n"]
        for key in ("numbers", "others", "mean", "least", "largest", "below", "high"):
            assert result.values[key] == [value[key] for value in values]
        assert result.values["numbers"] == [600] * 3
        assert output.read_text().splitlines() == rows


def test_a_histogram_of_parquet(world, place, on_root):
    import pyarrow as pa
    import pyarrow.parquet

    table = pa.table({"x": [1.0, 2.0, None, 4.0], "n": [1, 2, 3, 4]})
    on_root(lambda: pyarrow.parquet.write_table(table, place / "t.parquet"))
    result = run_files(world, "histogram", place, column="x", bins=3)
    if world.is_root:
        assert (result.values["numbers"], result.values["others"]) == (3, 1)
        assert (result.values["least"], result.values["largest"]) == (1.0, 4.0)


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("rows", [0, 1, 30, 500])
def test_each_row_group_of_parquet_is_read_once(world, place, on_root, rows):
    import pyarrow as pa
    import pyarrow.parquet

    numbers = [float(n) if n % 7 else None for n in range(rows)]
    table = pa.table({"word": list(map(str, numbers)), "x": pa.array(numbers, "f8")})

    def write():
        for size in (3, 50, 1000):
            name = place / f"{size}.pq"
            pyarrow.parquet.write_table(table, name, row_group_size=size)
        (place / "no.pq").write_bytes(b"PAR1" * 100)

    on_root(write)
    output = place.parent / "out.csv"
    result = run_files(world, "histogram", place, column="2", output=str(output))
    assert result.exit_code == 3
    missing = run_files(world, "histogram", place / "3.pq", column="y")
    if world.is_root:
        finite = [n for n in numbers if n is not None] * 3
        counts = result.values["numbers"], result.values["others"]
        assert counts == (len(finite), 3 * rows - len(finite))
        lines = list(csv.DictReader(output.read_text().splitlines()))
        assert sum(int(row["count"]) for row in lines) == len(finite)
        assert "no.pq: " in result.notes[0]
        assert "no column y; the columns are word, x" in missing.notes[0]


@pytest.mark.usefixtures("small_segments")
def test_a_mean_has_the_same_bits_in_any_order_and_format(world, place, on_root):
    import pyarrow as pa
    import pyarrow.parquet

    rng = np.random.default_rng(5)
    numbers = [1e16, 1.0, -1e16, 0.1, 1e-300, *rng.lognormal(0, 20, 400).tolist()]
    exact = float(sum(map(Fraction, numbers)) / len(numbers))

    def write():
        for n, order in enumerate((numbers, numbers[::-1])):
            data = "x\n" + "\n".join(map(repr, order)) + "\ninf\n"
            (place / f"{n}.csv").write_text(data)
            (place / f"{n}.csv.gz").write_bytes(gzip.compress(data.encode()))
            table = pa.table({"x": [*order, float("inf")]})
            pyarrow.parquet.write_table(table, place / f"{n}.pq", row_group_size=97)

    on_root(write)
    names = [f"{n}{suffix}" for n in range(2) for suffix in (".csv", ".csv.gz", ".pq")]
    results = [
        run_files(world, "histogram", place / name, column="x") for name in names
    ]
    if world.is_root:
        assert [result.values["mean"] for result in results] == [exact] * len(names)
        for result in results:
            assert (result.values["others"], result.values["above"]) == (1, 0)


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("kept", [0, 50, 10**6])
def test_kept_numbers_are_counted_once(world, place, on_root, monkeypatch, kept):
    monkeypatch.setattr("mpiapps.fileops.operations.MAX_KEPT_NUMBERS", kept)
    numbers = list(range(700))

    def write():
        (place / "good.csv").write_text("x\n" + "\n".join(map(str, numbers)) + "\n")
        (place / "open.csv").write_text("x\n" + "5\n" * 300 + '"6\n7\n')

    on_root(write)
    for directory in ("", str(place.parent / "journals")):
        output = place.parent / "out.csv"
        options = {"column": "x", "bins": 7, "range": (0.0, 699.0)}
        options |= {"output": str(output), "directory": directory}
        result = run_files(world, "histogram", place, **options)
        assert result.exit_code == 3
        if world.is_root:
            rows = list(csv.DictReader(output.read_text().splitlines()))
            counts = [int(row["count"]) for row in rows]
            assert counts == np.histogram(numbers, 7)[0].tolist()
            assert result.values["numbers"] == 700
            assert "open.csv: ValueError: the quote at byte 602" in result.notes[0]
    plain = run_files(world, "histogram", place, column="x", quote="")
    assert plain.exit_code == 0
    if world.is_root:
        assert (plain.values["numbers"], plain.values["others"]) == (1001, 1)


@pytest.mark.parametrize(
    "numbers",
    [[-1.7e308, 1.7e308], [1e300], [-1.7976931348623157e308], [1e16, 1e16 + 2]],
)
def test_a_range_may_be_huge_or_narrow(world, place, on_root, numbers):
    on_root(lambda: (place / "x.csv").write_text("".join(f"{x!r}\n" for x in numbers)))
    output = place.parent / "out.csv"
    result = run_files(world, "histogram", place, column="1", output=str(output))
    assert result.exit_code == 0
    if world.is_root:
        rows = list(csv.DictReader(output.read_text().splitlines()))
        assert sum(int(row["count"]) for row in rows) == len(numbers)
        assert all(float(r["low"]) <= float(r["high"]) for r in rows)
        assert (result.values["below"], result.values["above"]) == (0, 0)
