"""Times of a series against those of older ones: other commits, other hosts."""

from __future__ import annotations

from collections.abc import Sequence

from mpiapps.scaling.history import History
from mpiapps.scaling.statistics import ratio_of_medians
from mpiapps.scaling.study import Case, Study


def compare(study: Study, history: History, older: Sequence[str], series: str) -> str:
    """Return a line for each older series and case: its time / the time now."""
    lines = [f"Against earlier series; now: {series}"]
    for name in older:
        lines.append(f"  {name}")
        for case in study.cases:
            before, now = (_seconds(history, each, case) for each in (name, series))
            if before and now:
                ratio = ratio_of_medians(before, now)
                lines.append(
                    f"    {case.label}: {ratio.value:.3g} [{ratio.low:.3g},"
                    f" {ratio.high:.3g}] times the time now"
                )
    return "\n".join(lines) + "\n"


def _seconds(history: History, series: str, case: Case) -> list[float]:
    return [m.seconds for m in history.of(series) if m.case == case]
