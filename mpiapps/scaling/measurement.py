"""What one run gives: times and memory, from its record or from its process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mpiapps.base.errors import UsageError
from mpiapps.scaling.study import Case

# Timers of programs that contain only computation.
USEFUL = ("kernel",)
APART = "compile"  # a timer that depends on the state of a cache, not on the count


@dataclass(frozen=True)
class Measurement:
    """One run.

    Attributes
    ----------
    case : Case
    repeat : int
    seconds : float
        The studied region on the slowest rank; of a command, all of its run.
    elapsed : float
        From the start of the launcher to its end.
    useful : tuple of float
        Seconds of computation of each rank; empty if unknown.
    memory : tuple of int
        Peak resident bytes of each rank, or of the largest process of a command.
    phases : mapping of str to float
        Seconds of all timers on the slowest rank.
    series : str
        Commit and type of host.
    """

    case: Case
    repeat: int
    seconds: float
    elapsed: float
    useful: tuple[float, ...] = ()
    memory: tuple[int, ...] = ()
    phases: Mapping[str, float] | None = None
    series: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the record of a journal."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Measurement:
        """Return the measurement of a journal's record."""
        values = dict(record)
        values["case"] = Case(**record["case"])
        for name in ("useful", "memory"):
            values[name] = tuple(record[name])
        return cls(**values)


def from_records(  # noqa: PLR0913 - what is measured, and what a run gave
    case: Case,
    repeat: int,
    records: Sequence[Mapping[str, Any]],
    elapsed: float,
    *,
    region: str,
    useful: Sequence[str] = (),
) -> Measurement:
    """Return the measurement of a run from its record, or of copies from theirs.

    The region ``total`` is without the compilation of kernels.

    Raises
    ------
    UsageError
        If the record has no such timer.
    """
    rows = [row for record in records for row in record["usage"]["ranks"]]
    timers = [row["timers"] for row in rows]
    names = list(dict.fromkeys(name for row in timers for name in row))
    for name in (region, *useful):
        if name not in names:
            raise UsageError(
                f"the program has no timer {name!r}; it has {', '.join(names)}"
            )
    seconds = [row.get(region, 0.0) for row in timers]
    if region == "total":
        seconds = [row["total"] - row.get(APART, 0.0) for row in timers]
    useful = [name for name in useful or USEFUL if name in names]
    return Measurement(
        case=case,
        repeat=repeat,
        seconds=max(seconds),
        elapsed=elapsed,
        useful=tuple(sum(row.get(name, 0.0) for name in useful) for row in timers)
        if useful
        else (),
        memory=tuple(row["peak_memory"] for row in rows),
        phases={name: max(row.get(name, 0.0) for row in timers) for name in names},
    )
