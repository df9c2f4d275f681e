"""Groups of a column by a key, on any number of ranks, against csv and fractions."""

import csv
import gzip
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest

from mpiapps.base.errors import InputError
from mpiapps.fileops import group
from tests.fileops.runs import run_files

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]
KEYS = ["a", "b c", 'say "so"', "x,y", "two\nlines", "", "é", "NA", "1", "1.0"]


def expected(keys, texts):
    """Return count, others and mean of each key."""
    groups = defaultdict(list)
    for key, text in zip(keys, texts, strict=True):
        groups[key].append(float(text) if text else None)
    rows = {}
    for key in sorted(groups, key=str.encode):
        numbers = [x for x in groups[key] if x is not None]
        mean = float(sum(map(Fraction, numbers)) / len(numbers)) if numbers else None
        others = len(groups[key]) - len(numbers)
        rows[key] = str(len(numbers)), str(others), repr(mean) if numbers else ""
    return rows


def read_rows(path):
    with path.open(newline="") as stream:
        return {row["key"]: (row["count"], row["others"], row["mean"])
                for row in csv.DictReader(stream)}  # fmt: skip


@pytest.fixture
def data():
    rng = np.random.default_rng(6)
    keys = [KEYS[n] for n in rng.integers(len(KEYS), size=900)]
    keys += [f"key {n}" for n in rng.integers(3000, size=900)]
    numbers = rng.lognormal(0, 100, 1800) * rng.choice([-1, 1], 1800)
    texts = [repr(x) if n % 7 else "" for n, x in enumerate(numbers.tolist())]
    return keys, texts


@pytest.mark.usefixtures("small_segments")
def test_groups_have_the_same_bits_in_all_formats(world, place, on_root, data):
    import pyarrow as pa
    import pyarrow.parquet

    keys, texts = data

    def write():
        with (place / "t.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["x", "n", "key"])
            rows.writerows(zip(texts, range(len(keys)), keys, strict=True))
        content = (place / "t.csv").read_bytes()
        (place / "t.csv.gz").write_bytes(gzip.compress(content))
        numbers = [float(text) if text else None for text in texts]
        table = pa.table({"key": pa.array(keys).dictionary_encode(), "x": numbers})
        pyarrow.parquet.write_table(table, place / "t.pq", row_group_size=97)

    on_root(write)
    output, directory = place.parent / "out.csv", str(place.parent / "journals")
    asked = {"column": "x", "by": "key", "output": str(output)}
    wanted = expected(keys, texts)
    for name in ("t.csv", "t.csv.gz", "t.pq", "t.csv", "t.csv"):
        if world.is_root and output.exists():
            output.unlink()
        result = run_files(world, "group", place / name, **asked)
        asked["directory"] = directory if name == "t.pq" or "directory" in asked else ""
        if world.is_root:
            assert result.values["groups"] == len(wanted)
            assert list(read_rows(output).items()) == list(wanted.items())
    both = run_files(world, "group", place, **asked | {"directory": ""})
    if world.is_root:
        assert both.values["numbers"] == 3 * sum(int(n) for n, *_ in wanted.values())


@pytest.mark.usefixtures("small_segments")
def test_a_failed_file_adds_to_no_group(world, place, on_root):
    def write():
        rows = "".join(f"{n % 3},{n}\n" for n in range(300))
        (place / "good.csv").write_text("key,x\n" + rows)
        (place / "open.csv").write_text("key,x\n" + rows + '1,"2\n' + rows)
        (place / "other.csv").write_text("key,y\n" + rows)
        (place / "short.csv").write_text("key,x\nalone\n\n0,5\r\n")

    on_root(write)
    result = run_files(world, "group", place, column="x", by="key")
    if world.is_root:
        assert result.values["failed"] == 2
        assert result.values["key"] == ["0", "1", "2", "alone"]
        assert result.values["count"] == [101, 100, 100, 0]
        assert result.values["mean"] == [14855 / 101, 149.5, 150.5, None]
        assert "the quote at byte" in result.notes[0]
        assert "no column x" in result.notes[1]


def test_too_many_keys_end_the_run(world, place, on_root, monkeypatch):
    monkeypatch.setattr(group, "MAX_GROUPS", 100)
    rows = "".join(f"{n},{n}\n" for n in range(300))
    on_root(lambda: (place / "t.csv").write_text("key,x\n" + rows))
    if world.size == 1:
        with pytest.raises(InputError, match="key has more than 100 distinct values"):
            run_files(world, "group", place, column="x", by="key")


@pytest.mark.usefixtures("small_segments")
def test_a_key_of_several_columns(world, place, on_root, data):
    import pyarrow as pa
    import pyarrow.parquet

    keys, texts = data
    ranks = [KEYS[n % 7] for n in range(len(keys))]

    def write():
        with (place / "t.csv").open("w", newline="") as stream:
            rows = csv.writer(stream)
            rows.writerow(["x", "key", "n", "other"])
            rows.writerows(zip(texts, keys, range(len(keys)), ranks, strict=True))
        numbers = [float(text) if text else None for text in texts]
        table = pa.table({"key": keys, "x": numbers, "other": ranks})
        pyarrow.parquet.write_table(table, place / "t.pq", row_group_size=97)

    on_root(write)
    output, directory = place.parent / "out.csv", str(place.parent / "journals")
    wanted = defaultdict(list)
    for key, other, text in zip(keys, ranks, texts, strict=True):
        wanted[key.encode(), other.encode()].append(text)
    for name in ("t.csv", "t.pq", "t.pq"):
        asked = {"by": ("key", "other"), "column": "x", "output": str(output)}
        if name == "t.pq":
            asked["directory"] = directory
        result = run_files(world, "group", place / name, **asked)
        if world.is_root:
            with output.open(newline="") as stream:
                rows = list(csv.reader(stream))
            assert rows[0] == ["key", "other", "count", "others", "mean"]
            found = [(key.encode(), other.encode()) for key, other, *_ in rows[1:]]
            assert found == sorted(wanted)
            assert result.values["groups"] == len(wanted)
            for row, key in zip(rows[1:], found, strict=True):
                (expected_row,) = expected(
                    [""] * len(wanted[key]), wanted[key]
                ).values()
                assert tuple(row[2:]) == expected_row
    on_root(
        lambda: (place / "s.csv").write_text('a,b,x\n1,"2",3\n12,,4\n,12,5\n1,2,7\n')
    )
    small = run_files(world, "group", place / "s.csv", column="x", by=("b", "a"))
    if world.is_root:
        assert small.values["key"] == [["", "12"], ["12", ""], ["2", "1"]]
        assert small.values["mean"] == [4, 5, 5]
