"""Measurements as JSON Lines of Extra-P: `extrap` of PyPI reads them.

Format: https://github.com/extra-p/extrap, docs/file-formats.md, section JSON Lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from mpiapps.scaling.measurement import Measurement

PARAMETER = "p"


def as_json_lines(measurements: Iterable[Measurement]) -> str:
    """Return lines for each run: the studied region, and each timer as a call path."""
    lines = []
    for m in sorted(measurements, key=lambda m: (m.case.count, m.repeat)):
        phases = {"studied": m.seconds} | dict(m.phases or {})
        lines += [
            json.dumps(
                {
                    "params": {PARAMETER: m.case.count},
                    "callpath": name,
                    "metric": "time",
                    "value": seconds,
                }
            )
            for name, seconds in phases.items()
        ]
    return "".join(f"{line}\n" for line in lines)
