"""Checks of the limits that pools and their calls are given."""

from __future__ import annotations

import operator
from contextlib import suppress


def task_limit(name: str, value: int | None) -> int:
    """Return a number of tasks, 0 for None; raise `ValueError` if it is not one."""
    with suppress(TypeError):
        if (number := operator.index(0 if value is None else value)) >= 0:
            return number
    raise ValueError(
        f"{name} {value!r} must not be negative, and a whole number of tasks; 0 or None"
        " removes the limit"
    )


def time_limit(value: float | None) -> float:
    """Return a time, s, 0 for None; raise `ValueError` if it is not one."""
    seconds = 0 if value is None else value
    with suppress(TypeError):
        if seconds >= 0:  # false for nan
            return seconds
    raise ValueError(
        f"timeout {value!r} must not be negative, and a number of seconds; 0 or None"
        " removes the limit"
    )
