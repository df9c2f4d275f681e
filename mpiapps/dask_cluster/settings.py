"""Settings of Dask and resources of workers from the command line."""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mpiapps.base.errors import UsageError

CHECKED = "distributed"  # the section whose names are all known
# Intervals of the periodic work of idle workers, less that which protects the memory.
IDLE_INTERVALS = (
    "distributed.admin.system-monitor.interval",
    "distributed.admin.tick.interval",
    "distributed.worker.profile.cycle",
    "distributed.worker.profile.interval",
)
MAX_FACTOR = 10
YAML_VALUES = {"none": None, "null": None, "true": True, "false": False}


def parse_setting(text: str) -> tuple[str, Any]:
    """Return name and value of ``NAME=VALUE``; the value as in Dask's variables.

    Raises
    ------
    ValueError
        If there is no name or no value.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not (name and equals and value):
        raise ValueError(
            f"{text!r} is not NAME=VALUE, such as distributed.worker.memory.spill=0.6"
        )
    try:
        return name.replace("_", "-"), ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name.replace("_", "-"), YAML_VALUES.get(value.lower(), value)


def parse_resource(text: str) -> tuple[str, float]:
    """Return name and amount of a resource of each worker, such as ``GPU=2``.

    Raises
    ------
    ValueError
        If there is no name, or the amount is not a positive number.
    """
    name, _, value = (part.strip() for part in text.partition("="))
    try:
        amount = float(value)
    except ValueError:
        amount = math.nan
    if not name or not 0 < amount < math.inf:
        raise ValueError(
            f"{text!r} is not NAME=NUMBER with a number > 0, such as GPU=2"
        )
    return name, amount


def preload_source(text: str) -> str:
    """Return a module's name, or the absolute path of a file with that name. Local."""
    file = Path(text).expanduser()
    return str(file.resolve()) if file.is_file() else text


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise if distributed does not have a setting of its section. Imports Dask.

    Raises
    ------
    UsageError
        With the nearest name. Names outside the section may belong to the user.
    """
    import dask.config

    known = set[str]()
    for defaults in dask.config.defaults:
        known.update(_names(defaults))
    for name in settings:
        if name.partition(".")[0] != CHECKED or name in known:
            continue
        # An entry of a mapping that is empty by default, such as an environment.
        if name.rpartition(".")[0] in known:
            continue
        nearest = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise UsageError(f"Dask has no setting {name}{hint}")


def longer_intervals(workers: int, cpus: int) -> dict[str, str]:
    """Return `IDLE_INTERVALS` for workers that share cores. distributed is imported.

    Dask's own intervals times the workers per core, at most `MAX_FACTOR`; none if each
    has a core, and none that the user has configured. With Dask's, an idle worker takes
    3 % of a core: 40 of them fill it, and others cannot connect in time.
    """
    import dask.config
    from dask.utils import parse_timedelta

    factor = min(MAX_FACTOR, workers / cpus)
    defaults = dask.config.merge(*dask.config.defaults)
    intervals = {
        name: dask.config.get(name, config=defaults) for name in IDLE_INTERVALS
    }
    return {
        name: f"{factor * parse_timedelta(interval):g}s"
        for name, interval in intervals.items()
        if factor > 1 and dask.config.get(name) == interval
    }


def _names(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        key = f"{prefix}{name}".replace("_", "-")
        if not isinstance(value, dict):
            yield key
            continue
        if not value:
            yield key
        yield from _names(value, f"{key}.")
