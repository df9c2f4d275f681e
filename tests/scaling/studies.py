"""Studies and measurements for tests, in virtual time."""

from mpiapps.amdahl import Options, virtual_seconds
from mpiapps.scaling.measurement import Measurement
from mpiapps.scaling.study import Case, Study

COUNTS = (1, 2, 4, 8, 16, 32, 64)


def study(kind="strong", counts=COUNTS, **changes):
    values = {
        "kind": kind,
        "program": "amdahl",
        "words": ("-m", "mpiapps.amdahl"),
        "is_python": True,
        "recorded": True,
        "arguments": (),
        "cases": tuple(Case(0, p) for p in counts),
        "repeats": 5,
    }
    return Study(**values | changes)


def measured(case, seconds, repeat=0, **values):
    values = {"elapsed": seconds, **values}
    return Measurement(case, repeat, seconds, **values)


def virtual(options, counts=COUNTS, repeats=5):
    """Return tuples (count, work, seconds) of the program amdahl in virtual time."""
    return [
        (p, p if options.scaled else 1, virtual_seconds(options, p, repeat))
        for p in counts
        for repeat in range(repeats)
    ]


def virtual_runs(options, counts=COUNTS, repeats=5):
    return [
        measured(Case(0, p), virtual_seconds(options, p, repeat), repeat)
        for p in counts
        for repeat in range(repeats)
    ]


__all__ = ["COUNTS", "Options", "measured", "study", "virtual", "virtual_runs"]
