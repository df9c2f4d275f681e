"""CSV converted to Parquet: the same files on any number of ranks, all or none."""

import csv
import gzip
import io
import math
import random
from pathlib import Path

import numpy as np
import pytest

from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed, FileAccessError, InputError, LaunchError
from mpiapps.fileops import convert, parquet_parts, record_reader, segments
from mpiapps.fileops.record_reader import RecordReader
from mpiapps.storage.directory_lock import DirectoryLock
from tests.fileops.runs import run_files

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]
TEXTS = ["a", 'say "so"', "x,y", "two\nlines", "", "é", "NA", "007", " b "]


def table(n, seed=0):
    """Return the rows of a table as texts."""
    rng = np.random.default_rng(seed)
    numbers = rng.lognormal(0, 50, n).tolist()
    return [
        [str(k - 5), "" if k % 7 == 3 else repr(x), TEXTS[k % len(TEXTS)]]
        for k, x in enumerate(numbers)
    ]


def as_csv(rows, header=("id", "x", "name"), end="\n"):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=end)
    writer.writerows([header, *rows])
    return text.getvalue().encode()


def values_of(rows):
    return [[int(a), float(x) if x else None, name] for a, x, name in rows]


def read(path):
    """Return the types and the records of a directory of Parquet files."""
    import pyarrow.parquet

    found = pyarrow.parquet.read_table(path)
    columns = [column.to_pylist() for column in found.columns]
    return [str(kind) for kind in found.schema.types], list(
        map(list, zip(*columns, strict=True))
    )


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_records_keep_their_order_and_values(world, place, on_root, end):
    rows = [table(n, n) for n in (300, 1, 40)]

    def write():
        (place / "a.csv").write_bytes(as_csv(rows[0], end=end))
        (place / "b.csv").write_bytes(as_csv(rows[1], end=end))
        (place / "c.csv.gz").write_bytes(gzip.compress(as_csv(rows[2], end=end)))

    on_root(write)
    target = place.parent / "out"
    listed = place.parent / "list"
    result = run_files(
        world, "convert", place, output_dir=str(target), output=str(listed)
    )
    if world.is_root:
        assert result.values["records"] == 341
        assert result.values["types"] == ["int64", "double", "string"]
        types, records = read(target)
        assert types == ["int64", "double", "string"]
        assert records == [row for part in rows for row in values_of(part)]
        parts = sorted(map(str, target.iterdir()))
        assert len(parts) == result.values["parts"] > 20
        assert listed.read_text().split("\n")[:-1] == parts
        assert not list(place.parent.glob(".*"))


@pytest.mark.usefixtures("small_segments")
def test_parts_have_the_same_bytes_on_any_number_of_ranks(world, place, on_root):
    on_root(lambda: (place / "a.csv").write_bytes(as_csv(table(200))))
    run_files(world, "convert", place / "a.csv", output_dir=str(place.parent / "all"))
    alone = world.comm.Split(world.rank)
    if world.is_root:
        from mpiapps.comm.world import World

        one = World(alone)
        run_files(one, "convert", place / "a.csv", output_dir=str(place.parent / "one"))
        contents = [
            {path.name: path.read_bytes() for path in (place.parent / name).iterdir()}
            for name in ("all", "one")
        ]
        assert contents[0] == contents[1]
    alone.Free()
    world.comm.Barrier()


CASES = {
    "integers": (["1", "-2", " 3 ", "NA", '"4"'], "int64", [1, -2, 3, None, 4]),
    "numbers": (
        ["1", "2.5", "null", "1e3", "?"],
        "double",
        [1.0, 2.5, None, 1e3, None],
    ),
    "bounds": (
        ["9223372036854775807", "-9223372036854775808", "+0"],
        "int64",
        [2**63 - 1, -(2**63), 0],
    ),
    "large": (["9223372036854775808", "1"], "string", ["9223372036854775808", "1"]),
    "measured": (["9223372036854775808", "0.5"], "double", [2.0**63, 0.5]),
    "texts": (["1", "2", "x", "NA"], "string", ["1", "2", "x", "NA"]),
    "infinite": (
        ["1.5", "inf", "-INF", '"+Infinity"', " inf ", "1", "nan", "-infinity"],
        "double",
        [1.5, math.inf, -math.inf, math.inf, math.inf, 1.0, None, -math.inf],
    ),
    "infinite and whole": (["7", "-inf"], "double", [7.0, -math.inf]),
    "nearly infinite": (["1.5", "infinit"], "string", ["1.5", "infinit"]),
    "too large": (["1.5", "1e400"], "string", ["1.5", "1e400"]),
    "missing": (["NA", "-"], "string", ["NA", "-"]),
    "separated": (["1_000", "2"], "string", ["1_000", "2"]),
}


@pytest.mark.parametrize("name", CASES)
def test_types_of_columns(world, place, on_root, name):
    fields, kind, values = CASES[name]
    lines = "".join(f"{field},{field}\r\n" for field in fields)
    on_root(lambda: (place / "a.csv").write_text("a,b\r\n" + lines, newline=""))
    target = place.parent / "out"
    run_files(world, "convert", place / "a.csv", output_dir=str(target), text=("b",))
    if world.is_root:
        types, records = read(target)
        assert types == [kind, "string"]
        assert [row[0] for row in records] == values
        assert [row[1] for row in records] == [f.strip('"') for f in fields]


def test_short_records_columns_without_names_and_chosen_columns(world, place, on_root):
    on_root(lambda: (place / "a.csv").write_text(",b,c\n1,x\n2,,3\n\n"))
    out, some, nothing = (place.parent / name for name in ("out", "some", "nothing"))
    result = run_files(world, "convert", place, output_dir=str(out))
    if world.is_root:
        assert result.values["columns"] == ["1", "b", "c"]
        assert read(out)[1] == [[1, "x", None], [2, "", 3]]
    on_root(lambda: (place / "a.csv").write_text("a,b,c\n1,x,7,9,9\n"))
    run_files(world, "convert", place, output_dir=str(some), column=("c", "a"))
    if world.is_root:
        assert read(some) == (["int64", "int64"], [[7, 1]])
    on_root(lambda: (place / "a.csv").write_text("a,b,c\n"))
    result = run_files(world, "convert", place, output_dir=str(nothing))
    if world.is_root:
        assert result.values["records"] == 0
        assert read(nothing) == (["string"] * 3, [])


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("resumed", [False, True])
def test_a_file_that_is_named_again_has_its_records_again(
    world, place, on_root, monkeypatch, resumed
):
    rows, more = table(100), [["1", "", "x"], ["y", "2", "z"]]

    def write():
        (place / "a.csv").write_bytes(as_csv(rows))
        (place / "b.csv.gz").write_bytes(gzip.compress(as_csv(rows[:40])))
        (place / "c.csv").write_bytes(as_csv(more))  # its types are those of no other

    on_root(write)
    paths = [place / "a.csv", place, place / "b.csv.gz", place / "*.csv"]
    asked = {"output_dir": str(place.parent / "out")}
    if resumed:
        asked["directory"] = str(place.parent / "journals")
        stop_at_the_end(world, monkeypatch, *paths, **asked)
    result = run_files(world, "convert", *paths, **asked)
    if world.is_root:
        texts = [*rows, *rows, *rows[:40], *more, *rows[:40], *rows, *more]
        types, records = read(place.parent / "out")
        assert types == ["string", "double", "string"]
        assert [row[0] for row in records] == [row[0] for row in texts]
        assert [row[2] for row in records] == [row[2] for row in texts]
        assert (result.values["files"], result.values["records"]) == (7, len(texts))
        assert len(list((place.parent / "out").iterdir())) == result.values["parts"]


@pytest.mark.usefixtures("small_segments")
def test_a_failed_file_has_no_part(world, place, on_root):
    rows = "".join(f"{n},{n}\n" for n in range(100))

    def write():
        (place / "a.csv").write_text("a,b\n" + rows)
        (place / "b.csv").write_text("a,b\n" + rows + "1,2,3\n" + rows)
        (place / "c.csv").write_text("a,b,c\n" + rows)
        (place / "d.csv").write_text("b\n" + rows)
        (place / "e.csv").write_bytes(b"a,b\n1,\xff\n")
        (place / "f.csv").write_text('a,b\n1,"2\n' + rows)
        (place / "g.csv").write_text("")
        (place / "h.parquet").write_text("")

    on_root(write)
    target = place.parent / "out"
    result = run_files(world, "convert", place, output_dir=str(target), text=("b",))
    if world.is_root:
        assert (result.values["failed"], result.values["records"]) == (7, 100)
        assert len(read(target)[1]) == 100
        for note, reason in zip(
            result.notes,
            [
                "line 102 has more than 2 fields",
                "column c is not in the first file",
                "no column a",
                "column b has text that is not UTF-8",
                "the quote at byte 6 is not closed",
                "no column a",
                "is a Parquet file already",
            ],
            strict=True,
        ):
            assert reason in note


def test_refusals_change_nothing(world, place, on_root):
    target, other = place.parent / "out", place.parent / "other"

    def write():
        (place / "a.csv").write_text("a,b\n1,2\n")
        target.mkdir()
        (target / "keep").write_text("x")

    on_root(write)
    for message, asked in {
        "out exists; remove it": {"output_dir": str(target)},
        "--text c: no such column; the columns are a, b": {
            "output_dir": str(other),
            "text": ("c",),
        },
    }.items():
        with pytest.raises(InputError, match=message):
            run_files(world, "convert", place, **asked)
    on_root(lambda: (place / "a.csv").write_text("a,a\n1,2\n"))
    with pytest.raises(InputError, match="2 columns are named 'a'"):
        run_files(world, "convert", place, output_dir=str(other))
    if world.is_root:
        assert sorted(p.name for p in place.parent.iterdir()) == ["in", "out"]
        assert (target / "keep").read_text() == "x"


def test_two_runs_to_one_directory(world, place, on_root):
    on_root(lambda: (place / "a.csv").write_text("a\n1\n"))
    lock = DirectoryLock(place.parent / ".out.partial" / parquet_parts.LOCK)
    if world.is_root:
        lock.__enter__()
    with pytest.raises(LaunchError, match="is locked by process"):
        run_files(world, "convert", place, output_dir=str(place.parent / "out"))
    if world.is_root:
        lock.__exit__()
    run_files(world, "convert", place, output_dir=str(place.parent / "out"))
    if world.is_root:
        assert read(place.parent / "out")[1] == [[1]]


def stop_at_the_end(world, monkeypatch, *paths, **asked):
    """Run until all parts are written; keep them and the journals."""

    def fail(*_):
        raise FileAccessError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(parquet_parts.PartDirectory, "commit", fail)
        with pytest.raises(FileAccessError, match="no space"):
            run_files(world, "convert", *paths, **asked)
    world.comm.Barrier()


def counting_parts(monkeypatch):
    """Return the list that gets the paths of the parts that this rank writes."""
    calls = []
    monkeypatch.setattr(
        convert,
        "write_part",
        lambda path, *rest: calls.append(path) or parquet_parts.write_part(path, *rest),
    )
    return calls


@pytest.mark.usefixtures("small_segments")
def test_a_run_goes_on_from_the_parts_of_an_earlier_one(
    world, place, on_root, monkeypatch
):
    on_root(lambda: (place / "a.csv").write_bytes(as_csv(table(200))))
    target, directory = place.parent / "out", place.parent / "journals"
    asked = {"output_dir": str(target), "directory": str(directory)}
    stop_at_the_end(world, monkeypatch, place, **asked)
    assert not target.exists()
    partial = place.parent / ".out.partial"
    written = sorted(partial.glob("*.parquet"))
    world.comm.Barrier()
    if world.is_root:
        written[3].unlink()
        (partial / "stray.part").write_text("x")
    calls = counting_parts(monkeypatch)
    run_files(world, "convert", place, **asked)
    calls = world.comm.gather(calls)
    if world.is_root:
        assert [Path(path).name for rank in calls for path in rank] == [written[3].name]
        assert read(target)[1] == values_of(table(200))
        assert not partial.exists()
        assert all(path.name.startswith("part-") for path in target.iterdir())


@pytest.mark.parametrize("last", ["0.5", "1e3", "inf", "x", "9223372036854775808"])
def test_types_are_those_of_all_records_not_of_the_first(
    world, place, on_root, monkeypatch, last
):
    monkeypatch.setattr(segments, "MIN_SEGMENT_BYTES", 2**15)
    n = 60_000  # five blocks

    def write():
        rows = [[k, k + 0.5, "", "NA"] for k in range(n)]
        rows[n - 9][1:] = ["-7", last, "y"]
        (place / "a.csv").write_bytes(as_csv(rows, ("id", "x", "late", "b")))
        rows = [[k, k, k] for k in range(n)]
        rows[n - 9][1] = last
        (place / "b.csv").write_bytes(as_csv(rows, ("id", "late", "c")))

    on_root(write)
    for name in "ab":
        target = place.parent / name
        result = run_files(
            world, "convert", place / f"{name}.csv", output_dir=str(target)
        )
        if world.is_root:
            types, records = read(target)
            double = last in ("0.5", "1e3", "inf")
            late = "double" if double else "string"
            assert types == result.values["types"]
            assert result.values["parts"] == len(list(target.iterdir())) > 1
            ids = [row[0] for row in records]
            assert ids == list(range(n))
            values = [float(last)] if double else [last]
            if name == "a":
                assert types == ["int64", "double", late, "string"]
                assert [row[2] for row in records if row[2] not in (None, "")] == values
                assert records[n - 9][1] == -7.0
                assert [row[3] for row in records].count("NA") == n - 1
            else:
                assert types == ["int64", late, "int64"]
                assert records[n - 9] == [n - 9, *values, n - 9]
                assert records[5] == [5, 5.0 if double else "5", 5]


def test_columns_of_one_name_are_converted(world, place, on_root):
    rows = [[k, 2 * k, 10**18 - k] for k in range(5000)]
    on_root(lambda: (place / "a.csv").write_bytes(as_csv(rows, ("a", "", "2"))))
    target = place.parent / "out"
    run_files(world, "convert", place / "a.csv", output_dir=str(target), header="yes")
    if world.is_root:
        import pyarrow.parquet

        (path,) = target.iterdir()
        table = pyarrow.parquet.ParquetFile(path).read()
        assert table.column_names == ["a", "2_", "2"]
        assert [column.to_pylist() for column in table.columns] == [
            list(column) for column in zip(*rows, strict=True)
        ]


@pytest.mark.usefixtures("small_segments")
def test_columns_without_names_are_in_their_order(world, place, on_root):
    rows = [f"{n},{n + 1},{n + 2}\n" for n in range(60)]

    def write():
        (place / "a.csv").write_text("a,,\n" + "".join(rows))
        (place / "b.csv").write_text(",,a\n4,5,6\n")
        (place / "c.csv").write_text("a,\n7,8\n")
        (place / "d.csv").write_text("a,,,\n7,8,9,10\n")

    on_root(write)
    target = place.parent / "out"
    result = run_files(world, "convert", place, output_dir=str(target), text=("3",))
    assert result.exit_code == 3
    described = run_files(world, "describe", place)
    if world.is_root:
        assert result.values["columns"] == described.values["column"] == ["a", "2", "3"]
        types, records = read(target)
        assert types == ["int64", "int64", "string"]
        assert records == [*([n, n + 1, str(n + 2)] for n in range(60)), [6, 4, "5"]]
        assert described.values["max"] == [59, 60, 61]
        assert described.values["count"] == [61] * 3
        assert "1 columns have no name, not 2; give the columns'" in result.notes[0]
        assert "3 columns have no name, not 2; give the columns'" in result.notes[1]


def test_numbers_that_repeat_and_close_integers_take_few_bytes(world, place, on_root):
    def write():
        rows = [[k % 7 + 0.1, math.sqrt(k), k * k] for k in range(20_000)]
        (place / "a.csv").write_bytes(as_csv(rows, ("few", "many", "integers")))

    on_root(write)
    target = place.parent / "out"
    run_files(world, "convert", place / "a.csv", output_dir=str(target))
    if world.is_root:
        import pyarrow.parquet

        (path,) = target.iterdir()
        group = pyarrow.parquet.read_metadata(path).row_group(0)
        sizes = [group.column(n).total_uncompressed_size for n in range(3)]
        assert sizes[0] < 20_000
        assert 160_000 < sizes[1] < 161_000  # and no dictionary of them
        assert sizes[2] < 40_000


@pytest.mark.usefixtures("small_segments")
def test_a_stop_at_the_deadline_loses_no_record(world, place, on_root, monkeypatch):
    rng, starts = random.Random(world.rank), 0
    monkeypatch.setattr(Deadline, "remaining", lambda _: rng.choice([0, *[9] * 30]))
    on_root(lambda: (place / "a.csv").write_bytes(as_csv(table(2000))))
    target, directory = place.parent / "out", str(place.parent / "journals")
    while True:
        starts += 1
        try:
            run_files(
                world, "convert", place, output_dir=str(target), directory=directory
            )
            break
        except Checkpointed:
            assert not target.exists()
            world.comm.Barrier()
    assert starts > 1
    if world.is_root:
        assert read(target)[1] == values_of(table(2000))


@pytest.mark.usefixtures("small_segments")
def test_a_run_does_not_go_on_from_segments_of_another_length(
    world, place, on_root, monkeypatch
):
    on_root(lambda: (place / "a.csv").write_bytes(as_csv(table(400))))
    target, directory = place.parent / "out", str(place.parent / "journals")
    asked = {"output_dir": str(target), "directory": directory}
    with monkeypatch.context() as patch:
        patch.setattr(RecordReader, "segment_factor", 1)
        stop_at_the_end(world, monkeypatch, place, **asked)
    run_files(world, "convert", place, **asked)
    if world.is_root:
        assert read(target)[1] == values_of(table(400))


def test_types_do_not_come_from_a_run_with_other_columns(
    world, place, on_root, monkeypatch
):
    def write():
        (place / "a.csv").write_text("b,a\n0.25,3\n")
        (place / "b.csv").write_text("a,b\n1,0.5\n")

    on_root(write)
    target, directory = place.parent / "out", str(place.parent / "journals")
    asked = {"output_dir": str(target), "directory": directory}
    stop_at_the_end(world, monkeypatch, place / "b.csv", **asked)
    run_files(world, "convert", place, **asked)
    if world.is_root:
        assert read(target) == (["double", "int64"], [[0.25, 3], [0.5, 1]])


def test_a_file_that_changes_between_the_passes_fails(
    world, place, on_root, monkeypatch
):
    def write():
        (place / "a.csv").write_text("x\n1\n2\n3\n")
        (place / "b.csv").write_text("x\n0.5\n")
        (place / "c.csv").write_text("x\n8,9\n")

    def change(writer, types):
        on_root(lambda: (place / "a.csv").write_text("x\n1\ny\n3\n"))
        on_root(lambda: (place / "c.csv").write_text("x\nyyy\n"))
        set_types(writer, types)

    on_root(write)
    set_types = convert.PartWriter.set_types
    monkeypatch.setattr(convert.PartWriter, "set_types", change)
    target = place.parent / "out"
    result = run_files(world, "convert", place, output_dir=str(target))
    if world.is_root:
        assert (result.exit_code, result.values["records"]) == (3, 1)
        assert "a.csv: ValueError: changed while it was converted" in result.notes[0]
        assert "c.csv: ValueError: line 2 has more than 1 fields" in result.notes[1]
        assert read(target)[1] == [[0.5]]


@pytest.mark.parametrize("names", [["a.csv"], ["a.csv", "missing.csv"]])
def test_files_without_columns_fail(world, place, on_root, names):
    on_root(lambda: (place / "a.csv").write_text(""))
    target = place.parent / "out"
    paths = [place / name for name in names]
    result = run_files(world, "convert", *paths, output_dir=str(target))
    if world.is_root:
        assert (result.exit_code, result.values["failed"]) == (3, len(names))
        reason = "a.csv: ValueError: has no columns; the file is empty, or has only"
        assert reason in result.notes[0]
        assert result.values["records"] == result.values["parts"] == 0
        assert not {"columns", "types"} & result.values.keys()
        assert not target.exists()
    for options, reason in (
        ({"column": "a"}, "no column a; the file is empty"),
        ({"text": ("a",)}, "has no columns; the file is empty"),
    ):
        named = run_files(world, "convert", *paths, output_dir=str(target), **options)
        if world.is_root:
            assert reason in named.notes[0]
            assert not {"columns", "types"} & named.values.keys()


def test_types_are_predicted_from_the_first_values(world, place, on_root, monkeypatch):
    n = 60_000  # five blocks

    def write():
        (place / "a.csv").write_text("id,late\n")
        rows = [[k, k + 0.5 if k > n // 2 else ""] for k in range(n)]
        (place / "b.csv").write_bytes(as_csv(rows, ("id", "late")))

    on_root(write)
    calls, target = counting_parts(monkeypatch), place.parent / "out"
    run_files(world, "convert", place, output_dir=str(target))
    calls = world.comm.gather(calls)
    if world.is_root:
        assert read(target)[0] == ["int64", "double"]
        paths = [path for rank in calls for path in rank]
        assert len(paths) == len(set(paths)) == 2  # each file once


def test_row_groups_of_wide_tables_are_small(world, place, on_root, monkeypatch):
    monkeypatch.setattr(record_reader, "ROW_GROUP_BYTES", 2**20)
    monkeypatch.setattr(parquet_parts, "ROW_GROUP_BYTES", 2**20)
    columns, n = 500, 600
    rows = [[k % 10] * columns for k in range(n)]
    names = [f"c{k}" for k in range(columns)]
    on_root(lambda: (place / "a.csv").write_bytes(as_csv(rows, names)))
    target = place.parent / "out"
    run_files(world, "convert", place, output_dir=str(target))
    if world.is_root:
        import pyarrow.parquet

        (path,) = target.iterdir()
        found = pyarrow.parquet.read_metadata(path)
        groups = [found.row_group(k).num_rows for k in range(found.num_row_groups)]
        assert sum(groups) == n
        assert max(groups) * columns * 8 <= 2**20
        assert read(target)[1] == rows
