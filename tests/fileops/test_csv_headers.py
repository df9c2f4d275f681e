"""Headers that are not UTF-8, or comments: columns are found, or the file fails."""

import gzip

import numpy as np
import pytest

from mpiapps.fileops.csv_header import find_columns
from mpiapps.kernels.records import Dialect
from tests.fileops.runs import run_files

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]
LATIN = "# Höhe\nGröße,Gräße,b\n1,2,3\n".encode("latin-1")
NOT_UTF_8 = "the header is not UTF-8: byte 9 is 0xf6; convert the file, as by iconv"
OF_UTF_16 = {
    "utf-16": "begins with ff fe, the byte order mark of UTF-16",
    "utf-16-le": "the header is not UTF-8: byte 1 is 0x00",
    "utf-16-be": "the header is not UTF-8: byte 0 is 0x00",
}
ASKED = [
    ("describe", {}),
    ("convert", {}),
    ("convert", {"column": ("b", "Größe")}),
    ("describe", {"column": "Größe"}),
    ("histogram", {"column": "Größe"}),
    ("group", {"column": "b", "by": "Größe"}),
    ("group", {"column": "Größe", "by": "b"}),
]


def run(world, operation, place, options):
    if operation == "convert":
        options = {**options, "output_dir": str(place.parent / "out")}
    return run_files(world, operation, place, **options)


@pytest.mark.parametrize(("operation", "options"), ASKED)
def test_a_name_in_a_header_that_is_not_utf_8(
    world, place, on_root, operation, options
):
    def write():
        (place / "a.csv").write_bytes(LATIN)
        (place / "b.csv.gz").write_bytes(gzip.compress(LATIN))
        (place / "c.csv").write_bytes(LATIN.decode("latin-1").encode())

    on_root(write)
    result = run(world, operation, place, options)
    if world.is_root:
        assert (result.values["files"], result.values["failed"]) == (1, 2)
        for name, note in zip(("a.csv", "b.csv.gz"), result.notes, strict=True):
            assert f"{name}: ValueError: {NOT_UTF_8}" in note


@pytest.mark.parametrize(("operation", "options"), ASKED[:2])
def test_no_file_has_a_header_in_utf_8(world, place, on_root, operation, options):
    on_root((place / "a.csv").write_bytes, LATIN)
    result = run(world, operation, place, options)
    if world.is_root:
        assert (result.exit_code, result.values["failed"]) == (3, 1)
        assert NOT_UTF_8 in result.notes[0]


def test_columns_whose_names_are_not_needed(world, place, on_root):
    on_root((place / "a.csv").write_bytes, LATIN)
    for column, value in (("b", 3), ("3", 3), ("1", 1), ("2", 2)):
        result = run_files(world, "histogram", place, column=column)
        if world.is_root:
            assert (result.exit_code, result.values["mean"]) == (0, value)
    for column in ("c", "4"):
        result = run_files(world, "histogram", place, column=column)
        if world.is_root:
            reason = (
                rf"no column {column}; the first record is Gr\xf6\xdfe, Gr\xe4\xdfe"
            )
            assert reason in result.notes[0]
    on_root((place / "a.csv").write_bytes, b"1,\xf6\n2,\xe4\n")
    result = run_files(world, "describe", place)
    if world.is_root:
        assert (result.exit_code, result.values["column"]) == (0, ["1", "2"])
        assert result.values["count"] == [2, 0]


@pytest.mark.parametrize(("operation", "options"), ASKED)
def test_files_in_utf_16(world, place, on_root, operation, options):
    def write():
        for encoding in OF_UTF_16:
            content = "Table,Größe,b\n0,1,2\n".encode(encoding)
            (place / f"{encoding}.csv").write_bytes(content)

    on_root(write)
    result = run(world, operation, place, options)
    if world.is_root:
        assert (result.exit_code, result.values["failed"]) == (3, 3)
        reasons = [OF_UTF_16[name] for name in sorted(OF_UTF_16, key="{}.csv".format)]
        for note, reason in zip(result.notes, reasons, strict=True):
            assert reason in note
            assert "iconv -f UTF-16 -t UTF-8" in note


@pytest.mark.parametrize(("operation", "options"), ASKED)
def test_lines_that_end_with_cr_alone(world, place, on_root, operation, options):
    on_root((place / "a.csv").write_bytes, "Größe,b\r1,2\r".encode())
    on_root((place / "b.csv").write_bytes, "Größe,b\r\n1,2\r".encode("utf-16-le"))
    result = run(world, operation, place, options)
    if world.is_root:
        assert (result.exit_code, result.values["failed"]) == (3, 2)
        for note, remedy in zip(result.notes, ("tr '", "iconv -f UTF"), strict=True):
            assert "a line ends with CR alone" in note
            assert remedy in note


@pytest.mark.parametrize("text", ["", "# a comment\n", "\ufeff\n \n"])
@pytest.mark.parametrize("wanted", [["a"], ["1", "a"]])
def test_a_file_without_a_record_has_no_column_of_a_name(text, wanted):
    blocks = [np.frombuffer(text.encode(), np.uint8)]
    reason = "no column a; the file is empty, or has only comments and blank lines"
    with pytest.raises(ValueError, match=reason):
        find_columns(blocks, wanted, Dialect(), "auto")


# Of names and numbers, with comments before the header, or as the header.
NAMES_AND_NUMBERS = [
    ("# by x\na,b\n1,2\n", 11),
    ("# by x\n#a,b\n1,2\n", 12),
    ("#a,b\na,b\n1,2\n", 9),
    ("#b\n#x,b\n1,2\n", 8),
]


@pytest.mark.parametrize(("text", "start"), NAMES_AND_NUMBERS)
@pytest.mark.parametrize("header", ["auto", "yes"])
def test_columns_by_name_and_by_number(text, start, header):
    for wanted, columns in ((["1", "b"], (0, 1)), (["b", "1", "2"], (1, 0, 1))):
        found = find_columns(
            [np.frombuffer(text.encode(), np.uint8)], wanted, Dialect(), header
        )
        assert found == (columns, start)
    with pytest.raises(ValueError, match="no column c"):
        find_columns(
            [np.frombuffer(text.encode(), np.uint8)], ["1", "c"], Dialect(), header
        )
