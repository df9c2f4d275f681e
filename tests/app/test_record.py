import json
import math
from dataclasses import dataclass

import numpy as np

from mpiapps.app import Result, option
from mpiapps.app.output import as_csv
from mpiapps.app.record import as_json, strict

NUMBERS = [math.nan, math.inf, -math.inf, np.float64("nan"), 1.5, -0.0, 2**70, 0]


@dataclass(frozen=True)
class Options:
    """An option may be such a number too."""

    limit: float = option(math.inf, "any number")


def refuse(text):
    raise ValueError(f"{text} is not JSON")


def is_same(value, expected):
    return np.array_equal(float(value), float(expected), equal_nan=True)


def test_numbers_that_json_lacks_are_read_back_from_a_record():
    values = {"list": NUMBERS, "one": -math.inf, "deep": {"a": [(math.nan, "NaN")]}}
    result = Result(values, [{"rank": 0, "seconds": math.nan}])
    text = as_json("x", Options(), result, {}, {"load": [math.inf]}, {})
    record = json.loads(text, parse_constant=refuse)
    assert all(map(is_same, record["values"]["list"], NUMBERS))
    assert record["values"]["one"] == "-Infinity"
    assert record["values"]["deep"] == {"a": [["NaN", "NaN"]]}
    assert record["options"]["limit"] == "Infinity"
    assert record["ranks"][0]["seconds"] == "NaN"
    assert record["provenance"]["load"] == ["Infinity"]
    assert list(record)[-1] == "finished"


def test_numbers_are_read_back_from_csv():
    lines = as_csv([{"a": number} for number in NUMBERS]).splitlines()
    assert all(map(is_same, lines[1:], NUMBERS))


def test_finite_values_are_unchanged():
    value = {"a": [1, 2.5, "NaN", None, True], "b": {}}
    assert strict(value) == value
