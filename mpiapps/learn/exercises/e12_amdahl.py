"""Amdahl's law: what a run on more ranks can gain, and what it cannot."""

from collections.abc import Callable, Sequence

from mpiapps.learn.exercise import Exercise, Run

# Wrong value -> hint, by variable, in terms of: serial part, parallel part, ranks,
# times of the ranks.
Wrongs = dict[str, Callable[[float, float, int, list[float]], float]]
TIMES: Wrongs = {
    "that is the time of rank 0 alone, or of this rank": lambda _s, _p, _n, t: t[0],
    "that is the time of the fastest rank": lambda _s, _p, _n, t: min(t),
    "that is the mean: the others wait for the slowest": lambda _s, _p, n, t: (
        sum(t) / n
    ),
    "that is the sum: ranks work at the same time": lambda _s, _p, _n, t: sum(t),
}
SPEEDUPS: Wrongs = {
    "that is the ideal: the serial part gets no faster": lambda _s, _p, n, _t: n,
    "it is the other way round: time on one rank / time": (
        lambda s, p, _n, t: max(t) / (s + p)
    ),
}
EFFICIENCIES: Wrongs = {
    "that is the ideal": lambda _s, _p, _n, _t: 1.0,
    "it is a fraction, not in percent": lambda s, p, n, t: 100 * (s + p) / max(t) / n,
    "that is the speed-up: divide by the ranks": lambda s, p, _n, t: (s + p) / max(t),
}
LIMITS: Wrongs = {
    "that grows with the ranks": lambda _s, _p, n, _t: n,
    "that is the time without the serial part: the parallel part is what vanishes": (
        lambda s, p, _n, _t: (s + p) / p
    ),
    "that is the serial fraction: its inverse is the limit": (
        lambda s, p, _n, _t: s / (s + p)
    ),
    "that is the speed-up on this number of ranks": (
        lambda s, p, _n, t: (s + p) / max(t)
    ),
}
RIGHT = {
    "time": "the run ends with its slowest rank: allreduce of mine with op=MPI.MAX",
    "speedup": "(serial + items * cost) / time",
    "efficiency": "speedup / size",
    "limit": "with no time for the parallel part, (serial + items * cost) / serial",
}


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless rank 0 predicts time, speed-up, efficiency and limit."""
    for run in runs:
        serial, items, cost = map(float, run.job.arguments)
        n, whole = run.ranks, int(items)
        shares = [whole // n + (rank < whole % n) for rank in range(n)]
        times = [serial + share * cost for share in shares]
        parallel, time = items * cost, max(times)
        one = serial + parallel
        known = {
            "time": (time, TIMES),
            "speedup": (one / time, SPEEDUPS),
            "efficiency": (one / time / n, EFFICIENCIES),
            "limit": (one / serial, LIMITS),
        }
        for name, (right, wrongs) in known.items():
            value = run.number(0, name)
            if _near(value, right):
                continue
            hints = (
                f"{hint}; {RIGHT[name]}"
                for hint, wrong in wrongs.items()
                if _near(value, wrong(serial, parallel, n, times))
            )
            raise run.wrong(
                f"rank 0 has {name} = {value:g}, not {right:g}",
                next(hints, RIGHT[name]),
            )
        _all_agree(run, time)


def _all_agree(run: Run, time: float) -> None:
    """Check that every rank that has the time of the run has the right one."""
    for rank in range(run.ranks):
        value = run.values[rank].get("time")
        if isinstance(value, float) and not _near(value, time):
            raise run.wrong(
                f"rank {rank} has time = {value:g}, and rank 0 has {time:g}",
                "the time of a run is one number: allreduce gives it to all ranks",
            )


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-9 * max(abs(a), abs(b))


EXERCISE = Exercise(
    "Amdahl's law and the slowest rank",
    "12_amdahl.py",
    examine,
    runs=tuple(
        (ranks, words)
        for ranks in (1, 2, 3, 4)
        for words in (("1", "10", "0.9"), ("2.5", "7", "0.5"), ("0.01", "3", "4"))
    ),
    keep=("time", "speedup", "efficiency", "limit"),
)
