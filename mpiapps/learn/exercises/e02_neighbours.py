"""Rank and size: neighbours on a ring."""

from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless each rank has the right neighbours on a ring."""
    for run in runs:
        for rank in range(run.ranks):
            for name, other, step in (("left", "right", -1), ("right", "left", 1)):
                _neighbour(run, rank, name, (rank + step) % run.ranks, other)


def _neighbour(run: Run, rank: int, name: str, expected: int, other: str) -> None:
    value = run.number(rank, name)
    if value == expected:
        return
    what = f"rank {rank} of {run.ranks} has {name} = {value:g}, not {expected}"
    if not 0 <= value < run.ranks:
        hint = (
            f"ranks are 0 to size - 1, here {run.ranks - 1}: the ring closes with"
            " % comm.size (in Python, -1 % 4 is 3)"
        )
    elif value == run.number(rank, other) or run.number(rank, other) == expected:
        hint = "left is one rank lower, right is one rank higher"
    else:
        hint = (
            "left is (rank - 1) % size and right is (rank + 1) % size, on every rank"
            " and for every size: no abs, no if, no number from one size"
        )
    raise run.wrong(what, hint)


EXERCISE = Exercise(
    "Rank and size: neighbours on a ring",
    "02_neighbours.py",
    examine,
    keep=("left", "right"),
)
