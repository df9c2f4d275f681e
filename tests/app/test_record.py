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
    """An option may be such a number, too."""

    limit: float = option(math.inf, "any number")


def refuse(text):
    raise ValueError(f"{text} is not JSON")


def same(found, expected):
    return np.array_equal(float(found), float(expected), equal_nan=True)


def test_numbers_that_json_lacks_come_back_from_a_record():
    values = {"list": NUMBERS, "one": -math.inf, "deep": {"a": [(math.nan, "NaN")]}}
    result = Result(values, [{"rank": 0, "seconds": math.nan}])
    text = as_json("x", Options(), result, {}, {"load": [math.inf]})
    found = json.loads(text, parse_constant=refuse)
    assert all(map(same, found["values"]["list"], NUMBERS))
    assert found["values"]["one"] == "-Infinity"
    assert found["values"]["deep"] == {"a": [["NaN", "NaN"]]}
    assert found["options"]["limit"] == "Infinity"
    assert found["ranks"][0]["seconds"] == "NaN"
    assert found["provenance"]["load"] == ["Infinity"]
    assert list(found)[-1] == "finished"


def test_numbers_come_back_from_a_table():
    lines = as_csv([{"a": number} for number in NUMBERS]).splitlines()
    assert all(map(same, lines[1:], NUMBERS))


def test_what_is_finite_stays_as_it_is():
    value = {"a": [1, 2.5, "NaN", None, True], "b": {}}
    assert strict(value) == value
