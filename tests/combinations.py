"""The combinations of parameters that rank tests run on a number of ranks.

A test of matrices has cases, dtypes, and lanes (ranks and MPIs). All pairs of the three
run, but not all triples: of the four dtypes of a case a lane runs two, one real and one
complex, of which one is in single precision. Which two depends on the case, so that a
lane runs all dtypes, and each dtype of a case runs on more than one number of ranks, a
power of two and another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from zlib import crc32

import pytest

HALVES = {"f4": 0, "c16": 0, "f8": 1, "c8": 1}


def half_of_lane(size: int, vendor: str) -> int:
    """Return the half of 1, 4 and 6 ranks, or that of 2 and 3; MPICH has the other."""
    return (size.bit_length() + (vendor == "MPICH")) % 2


def runs(case: str, dtype: str, half: int) -> bool:
    """Return whether a lane runs a dtype of a case."""
    return (crc32(case.encode()) + HALVES[dtype] + half) % 2 == 0


def left_out(items: Iterable[pytest.Item], half: int) -> list[pytest.Item]:
    """Return the tests that a lane leaves out: of cases with all four dtypes."""
    cases: dict[Hashable, dict[str, pytest.Item]] = defaultdict(dict)
    for item in items:
        call = getattr(item, "callspec", None)
        dtype = call.params.get("dtype") if call else None
        if isinstance(dtype, str) and dtype in HALVES:
            rest = "-".join(part for part in call.id.split("-") if part != dtype)
            name = item.nodeid.partition("[")[0]
            cases[f"{name}[{rest}]"][dtype] = item
    return [
        item
        for case, dtypes in cases.items()
        for dtype, item in dtypes.items()
        if len(dtypes) == len(HALVES) and not runs(str(case), dtype, half)
    ]
