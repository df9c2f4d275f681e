"""Speed-up, efficiency, POP metrics and cost of each case of a study."""

from __future__ import annotations

import statistics as plain
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mpiapps.scaling.measurement import Measurement
from mpiapps.scaling.statistics import Estimate, median, ratio_of_medians
from mpiapps.scaling.study import Case, Study


@dataclass(frozen=True)
class Pop:
    """Efficiencies of the POP Centre of Excellence, from 0 to 1; 0.8 is acceptable.

    Source: https://co-design.pop-coe.eu/metrics/index.html

    Attributes
    ----------
    load_balance : float
        Mean useful time / longest useful time.
    communication : float
        Longest useful time / run time.
    computation : float
        Useful time of all ranks in the reference / in this case, for equal work.
    """

    load_balance: float
    communication: float
    computation: float

    @property
    def parallel(self) -> float:
        """Parallel efficiency: load balance x communication efficiency."""
        return self.load_balance * self.communication

    @property
    def overall(self) -> float:
        """Global efficiency: parallel efficiency x computation scaling."""
        return self.parallel * self.computation


@dataclass(frozen=True)
class Row:
    """The results of one case.

    Attributes
    ----------
    case : Case
    runs : int
    seconds : Estimate
    capacity : Estimate
        Speed-up, scaled speed-up, or relative throughput, over the reference.
    efficiency : Estimate
        Capacity / (count / count of the reference).
    pop : Pop or None
        Medians, if the useful time is known.
    memory : int or None
        Largest peak memory of a rank, in bytes.
    core_hours : float
        Of one run, from the start of the launcher to its end.
    """

    case: Case
    runs: int
    seconds: Estimate
    capacity: Estimate
    efficiency: Estimate
    pop: Pop | None
    memory: int | None
    core_hours: float


def rows(study: Study, measurements: Sequence[Measurement]) -> list[Row]:
    """Return a row per measured case, by count; the first one is the reference."""
    groups = {
        case: [m for m in measurements if m.case == case]
        for case in study.cases
        if any(m.case == case for m in measurements)
    }
    if not groups:
        return []
    reference = next(iter(groups))
    return [
        _row(study, case, runs, reference, groups[reference])
        for case, runs in groups.items()
    ]


def _row(
    study: Study,
    case: Case,
    runs: Sequence[Measurement],
    reference: Case,
    reference_runs: Sequence[Measurement],
) -> Row:
    seconds = [m.seconds for m in runs]
    work = study.work_of(case) / study.work_of(reference)
    capacity = Estimate(1.0, 1.0, 1.0)
    if case != reference:
        capacity = ratio_of_medians([m.seconds for m in reference_runs], seconds)
        capacity = Estimate(*(work * x for x in capacity))
    ideal = case.count / reference.count
    return Row(
        case=case,
        runs=len(runs),
        seconds=median(seconds),
        capacity=capacity,
        efficiency=Estimate(*(x / ideal for x in capacity)),
        pop=_pop(runs, reference_runs, work),
        memory=max((max(m.memory) for m in runs if m.memory), default=None),
        core_hours=case.cores * plain.median(m.elapsed for m in runs) / 3600,
    )


def _pop(
    runs: Sequence[Measurement], reference: Sequence[Measurement], work: float
) -> Pop | None:
    if not all(m.useful and max(m.useful) > 0 for m in (*runs, *reference)):
        return None

    def middle(value: Callable[[Measurement], float]) -> float:
        return plain.median(value(m) for m in runs)

    useful = plain.median(sum(m.useful) for m in reference)
    return Pop(
        load_balance=middle(lambda m: sum(m.useful) / len(m.useful) / max(m.useful)),
        communication=middle(lambda m: max(m.useful) / m.seconds),
        computation=work * useful / middle(lambda m: sum(m.useful)),
    )


def fastest(rows: Sequence[Row]) -> list[Row]:
    """Return the fastest case of each count, such as of 2 ranks and of 2 threads."""
    best: dict[int, Row] = {}
    for row in rows:
        count = row.case.count
        if count not in best or row.seconds.value < best[count].seconds.value:
            best[count] = row
    return [best[count] for count in sorted(best)]
