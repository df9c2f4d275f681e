"""The program on random files in tiny segments, against GNU wc, csv and float().

See tests/fuzz.py for the number of inputs.
"""

import csv
import io
import math
import random
import re
import shutil

import pytest

from mpiapps.fileops import segments
from mpiapps.kernels.numbers_in_rows import MISSING_VALUES
from tests.fileops.runs import run_files
from tests.fuzz import seeds
from tests.kernels.test_columns import DIALECTS, is_open
from tests.kernels.test_numbers import as_float
from tests.kernels.test_text import INVALID
from tests.wc import LOCALES, wc

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]
TEXTS = [
    *INVALID,
    *map(str.encode, " \t\n\v\f\r \u2060\u200bé中😀\u0301ab"),
    b"\n",
    b" ",
]
FIELDS = [
    *("", "", "1", "-2", "007", "2.5", "1e3", " 3 ", "NA", "null", "-", "x", "é"),
    *("9223372036854775807", "-9223372036854775809", "1_0", "12\" pipe", "0.1e-320"),
    *("9007199254740993.00000000000000000000001", "\u0663", "+4", "nan", " ", "inf"),
]  # fmt: skip
QUOTED = [",", "\n", "\r\n", "|", "'", '"', "1", "-7", "NA", "", "a b", "é"]


@pytest.fixture
def tiny_segments(monkeypatch):
    """Split files into a few bytes, others for each seed."""

    def split(rng):
        length = rng.randint(1, 40)
        monkeypatch.setattr(segments, "MIN_SEGMENT_BYTES", length)
        monkeypatch.setattr(segments, "MAX_SEGMENT_BYTES", length)

    return split


def random_text(rng):
    pieces = [rng.choice(TEXTS) for _ in range(rng.randint(0, 120))]
    if rng.random() < 0.5:
        pieces += [rng.randbytes(rng.randint(0, 9)) for _ in range(9)]
        rng.shuffle(pieces)
    return b"".join(pieces)


def write_all(paths, contents):
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)


def test_counts_are_those_of_wc(world, place, on_root, tiny_segments):
    for seed in seeds(12):
        rng = random.Random(seed)
        tiny_segments(rng)
        texts = [random_text(rng) for _ in range(4)]
        paths = [place / str(n) for n in range(4)]
        on_root(write_all, paths, texts)
        encoding = rng.choice(list(LOCALES))
        result = run_files(world, "count", *paths, encoding=encoding, per_file=True)
        if world.is_root:
            counts = [
                [row[name] for name in ("lines", "words", "characters", "bytes")]
                for row in result.values["per_file"]
            ]
            expected = [wc(data, encoding) for data in texts]
            assert counts == expected, (seed, encoding, texts)


def random_field(rng, quote):
    if not quote or rng.random() < 0.7:
        return rng.choice(FIELDS)
    inside = "".join(rng.choice(QUOTED) for _ in range(rng.randint(0, 3)))
    inside = inside.replace(quote, "").replace("|", quote * 2)  # doubled quotes
    after = rng.choice(["", "", "", " ", "x"])
    return f"{quote}{inside}{quote}{after}"


def random_csv(rng, quote):
    """Return a header and records of at most three fields, a few of which are wrong."""
    columns = [[random_field(rng, quote) for _ in range(4)] for _ in range(3)]
    end = rng.choice(["\n", "\r\n"])
    records = []
    for _ in range(rng.randint(0, 30)):
        fields = [rng.choice(column) for column in columns]
        records.append(",".join(fields[: rng.choice([3, 3, 3, 3, 2, 1])]))
    if rng.random() < 0.1:
        records.append(rng.choice(["1,2,3,4", f"{quote}x"]))
    return f"a,b,c{end}" + end.join(records) + rng.choice(["", end])


def by_csv(text, quote):
    options = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    rows = csv.reader(io.StringIO(text, newline="\n"), **options)
    return [row for row in rows if row][1:]


def is_missing(text):
    return text.strip(" \t\r\n\v\f").lower() in MISSING_VALUES


def number_in(text):
    """Return the number of a field or NaN; digits of other scripts are text."""
    return as_float(text) if text.isascii() else math.nan


def kind_of(text):
    if re.fullmatch(r"[+-]?[0-9]+", text.strip(" \t\r\n\v\f"), re.ASCII):
        return "integer" if -(2**63) <= int(text) < 2**63 else "large"
    return "text" if math.isnan(number_in(text)) else "number"


def expected_type(texts):
    kinds = {
        kind_of(text) for text in texts if text is not None and not is_missing(text)
    }
    if "text" in kinds or not kinds - {"large"} or kinds == {"large", "integer"}:
        return "string"
    return "double" if "number" in kinds else "int64"


def expected_value(kind, text):
    if kind == "string" or text is None:
        return text
    if is_missing(text):
        return None
    return int(text) if kind == "int64" else as_float(text)


def is_refused(text, quote, rows):
    return is_open(text, DIALECTS[quote]) or any(len(row) > 3 for row in rows)


def test_records_are_those_of_csv_and_float(world, place, on_root, tiny_segments):
    import pyarrow.parquet

    path, target = place / "t.csv", place.parent / "out"
    for seed in seeds(10):
        rng = random.Random(seed)
        tiny_segments(rng)
        quote = rng.choice(list(DIALECTS))
        text = random_csv(rng, quote)
        rows = by_csv(text, quote)
        on_root(path.write_bytes, text.encode())
        asked = {"quote": quote, "header": "yes"}
        result = run_files(world, "convert", path, output_dir=str(target), **asked)
        described = run_files(world, "describe", path, **asked)
        if world.is_root:
            if is_refused(text, quote, rows):
                assert result.exit_code == 3, (seed, text)
                assert not target.exists()
            else:
                assert result.exit_code == described.exit_code == 0, (seed, text)
                found = pyarrow.parquet.read_table(target)
                shutil.rmtree(target)
                for n, column in enumerate(found.columns):
                    texts = [row[n] if n < len(row) else None for row in rows]
                    kind = expected_type(texts)
                    assert str(column.type) == kind, (seed, texts)
                    wanted = [expected_value(kind, each) for each in texts]
                    assert column.to_pylist() == wanted, (seed, texts)
                    check_description(described.values, n, texts)
        world.comm.Barrier()


def check_description(values, n, texts):
    texts = ["" if text is None else text for text in texts]
    numbers = [x for x in map(number_in, texts) if not math.isnan(x)]
    missing = sum(map(is_missing, texts))
    row = {name: values[name][n] for name in ("count", "missing", "invalid")}
    assert row["count"] == len(numbers), texts
    assert row["missing"] == missing
    assert row["invalid"] == len(texts) - len(numbers) - missing
    if numbers:
        assert values["min"][n] == min(numbers)
        assert values["max"][n] == max(numbers)
