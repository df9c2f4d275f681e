"""The JSON record of a run, for scripts.

A schema version only gains keys. A run that did not finish has no record:
``"finished": true`` is the last key of each one. Records are strict JSON (`strict`).
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
RECORD_VARIABLE = "MPIAPPS_RECORD"  # set by job scripts to the path of the record


def as_json(  # noqa: PLR0913, PLR0917 - the parts of a record
    name: str,
    options: Any,
    result: Result,
    timings: Mapping[str, Timing],
    provenance: Mapping[str, Any],
    usage: Mapping[str, Any],
) -> str:
    """Return the record of a finished run as a line of JSON."""
    record = {
        "schema": SCHEMA,
        "program": name,
        "version": mpiapps.__version__,
        "options": dataclasses.asdict(options),
        "values": dict(result.values),
        "timings": {
            name: dataclasses.asdict(timing) for name, timing in timings.items()
        },
        "ranks": [dict(row) for row in result.ranks],
        "notes": list(result.notes),
        "usage": dict(usage),
        "provenance": dict(provenance),
        "exit_code": result.exit_code,
        "finished": True,
    }
    return json.dumps(strict(record), allow_nan=False) + "\n"


def strict(value: Any) -> Any:
    """Return `value` with strings for the floats that JSON lacks.

    NaN and infinities become ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, at any
    depth, which `float` of Python and `Number` of JavaScript accept.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'-' * (value < 0)}Infinity"
    if isinstance(value, Mapping):
        return {name: strict(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict(item) for item in value]
    return value
