"""Deadlock: an exchange that works for short messages, and hangs for long ones."""

from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run

SHORT, LONG = "10", "1000000"


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless each rank has received the numbers of its left neighbour."""
    for run in runs:
        for rank in range(run.ranks):
            left, right = (rank - 1) % run.ranks, (rank + 1) % run.ranks
            received = run.items(rank, "received")
            if received and all(number == left for number in received):
                continue
            value = received[-1] if received else "nothing"
            if value == rank and run.ranks > 1:
                hint = "that is its own data: receive into `received`, from `left`"
            elif value == right:
                hint = "data go round to the right: dest=right, source=left"
            else:
                hint = (
                    "`received` is filled by one receive from `left`, which has ended"
                    " before the numbers are read: wait for each Irecv"
                )
            raise run.wrong(
                f"rank {rank} has {value} in `received`, not the {left} of rank {left}",
                hint,
            )


EXERCISE = Exercise(
    "Deadlock: exchange on a ring",
    "04_deadlock.py",
    examine,
    # On one rank last: with MPICH, a send to oneself waits also if it is short.
    runs=tuple((ranks, (n,)) for n in (LONG, SHORT) for ranks in (2, 3, 4, 1)),
    keep=("received",),
    synchronous=True,
)
