"""Run a study: what is missing, in order, each result recorded at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mpiapps.base.errors import TasksFailed
from mpiapps.base.streams import write_err
from mpiapps.base.units import format_seconds
from mpiapps.scaling.history import History
from mpiapps.scaling.measurement import Measurement
from mpiapps.scaling.study import Case, Study

Runner = Callable[[Case, int, Path], Measurement]


def missing(study: Study, history: History, series: str) -> list[tuple[Case, int]]:
    """Return the runs that a series lacks, in order."""
    done = {(m.case, m.repeat) for m in history.of(series)}
    return [pair for pair in study.order() if pair not in done]


def collect(study: Study, history: History, series: str, run: Runner) -> list[str]:
    """Make all missing runs; return the errors of cases that failed.

    After a failure the other repeats of the case are left out. The same command makes
    the runs that failed or were killed.
    """
    remaining = missing(study, history, series)
    failed: dict[Case, str] = {}
    for number, (case, repeat) in enumerate(remaining, 1):
        if case in failed:
            continue
        try:
            measurement = replace(run(case, repeat, history.runs), series=series)
        except TasksFailed as error:
            failed[case] = str(error)
            write_err(f"mpiapps: {error}\n")
            continue
        history.add(measurement)
        write_err(
            f"mpiapps: run {number} of {len(remaining)}: {case.label}:"
            f" {format_seconds(measurement.seconds)}\n"
        )
    return list(failed.values())
