"""The JSON record of a run, which scripts rely on.

Names are only ever added within a schema number. A run that did not finish has no
record: ``"finished": true`` is the last key of every one. It is strict JSON (`strict`).
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import mpiapps

if TYPE_CHECKING:
    from mpiapps.app.program import Result
    from mpiapps.comm.timers import Timing

SCHEMA = 1
FILE = "MPIAPPS_RECORD"  # set by the job script: where it looks for the record


def as_json(
    name: str,
    options: Any,
    result: Result,
    timings: Mapping[str, Timing],
    provenance: Mapping[str, Any],
) -> str:
    """Return the record of one finished run as a line of JSON. Local."""
    record = {
        "schema": SCHEMA,
        "program": name,
        "version": mpiapps.__version__,
        "options": dataclasses.asdict(options),
        "values": dict(result.values),
        "timings": {name: dataclasses.asdict(each) for name, each in timings.items()},
        "ranks": [dict(row) for row in result.ranks],
        "notes": list(result.notes),
        "provenance": dict(provenance),
        "exit_code": result.exit_code,
        "finished": True,
    }
    return json.dumps(strict(record), allow_nan=False) + "\n"


def strict(value: Any) -> Any:
    """Return `value` with the numbers that JSON lacks as texts. Local.

    NaN and the infinities become ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, at any
    depth: `float` of Python and `Number` of JavaScript read them, as they read numbers.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if isinstance(value, Mapping):
        return {name: strict(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [strict(each) for each in value]
    return value
