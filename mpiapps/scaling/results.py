"""The results of a study: rows, fits, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mpiapps.scaling import metrics
from mpiapps.scaling.fitting import Data, Fit, data_of
from mpiapps.scaling.measurement import Measurement
from mpiapps.scaling.metrics import Row
from mpiapps.scaling.rules import Rule
from mpiapps.scaling.selection import Choice, best_extrap, choose
from mpiapps.scaling.statistics import Estimate
from mpiapps.scaling.study import Study
from mpiapps.scaling.verdict import Verdict, judge


@dataclass(frozen=True)
class Results:
    """What a study found.

    Attributes
    ----------
    study : Study
    measurements : tuple of Measurement
        Of the shown series.
    rows : list of Row
        All cases, by count.
    line : list of Row
        The fastest case of each count.
    choice : Choice
        Fitted models of the line.
    phases : mapping of str to Fit
        Extra-P's form for each timer that took at least `MIN_PHASE` s.
    verdict : Verdict or None
    predictions : mapping of int to Estimate
        Seconds by count.
    """

    study: Study
    measurements: tuple[Measurement, ...]
    rows: list[Row]
    line: list[Row]
    choice: Choice
    phases: dict[str, Fit]
    verdict: Verdict | None
    predictions: dict[int, Estimate]

    def work(self, count: float) -> float:
        """Return the work at a count, relative to a count of one."""
        return 1.0 if self.study.kind == "strong" else count


MIN_PHASE = 1e-3  # s; shorter timers show the clock rather than the program


def analyse(
    study: Study,
    measurements: Sequence[Measurement],
    rule: Rule | None = None,
    predict: Sequence[int] = (),
) -> Results:
    """Return the results of the measurements of one series; at least one is needed."""
    rows = metrics.rows(study, measurements)
    line = metrics.fastest(rows)
    used = {row.case for row in line}
    runs = [m for m in measurements if m.case in used]
    choice = choose(study.kind, _data(study, runs, [m.seconds for m in runs]))
    predictions = {}
    if choice.best:
        for count in predict:
            work = 1.0 if study.kind == "strong" else float(count)
            predictions[count] = choice.predict(count, work)
    return Results(
        study=study,
        measurements=tuple(measurements),
        rows=rows,
        line=line,
        choice=choice,
        phases=_phases(study, runs),
        verdict=judge(rule, line) if rule else None,
        predictions=predictions,
    )


def _data(study: Study, runs: Sequence[Measurement], seconds: Sequence[float]) -> Data:
    return data_of(
        [
            (m.case.count, study.work_of(m.case), t)
            for m, t in zip(runs, seconds, strict=True)
        ]
    )


def _phases(study: Study, runs: Sequence[Measurement]) -> dict[str, Fit]:
    """Return the fits of the timers that all runs have."""
    fits = {}
    names = dict.fromkeys(name for m in runs for name in m.phases or {})
    for name in names:
        seconds = [(m.phases or {}).get(name, 0.0) for m in runs]
        if min(seconds) < MIN_PHASE:
            continue
        fit = best_extrap(study.kind, _data(study, runs, seconds))
        if fit is not None:
            fits[name] = fit
    return fits
