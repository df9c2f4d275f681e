"""Scatter and gather: the root distributes a list, and collects the results."""

from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run, shown


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless each rank has its part, and the root all squares."""
    for run in runs:
        n = int(run.job.arguments[0])
        for rank in range(run.ranks):
            _part(run, rank, n)
        _squares(run, n)


def _part(run: Run, rank: int, n: int) -> None:
    part, share = run.items(rank, "part"), n // run.ranks
    numbers = [number for number in part if isinstance(number, int | float)]
    if numbers == list(range(rank * share, (rank + 1) * share)) == part:
        return
    what = f"rank {rank} has part = {shown(part)}"
    if len(numbers) < len(part):
        hint = "the parts are lists of numbers: cut the list into `size` of them"
    elif len(part) == n and run.ranks > 1:
        hint = "that is the whole list (bcast sends it to all): scatter sends parts"
    elif part == list(range(rank, n, run.ranks)):
        hint = (
            "these are every size-th number: the parts are blocks, so that the root"
            " only has to join them. Part r begins at r * n // size"
        )
    else:
        hint = (
            f"{n} numbers on {run.ranks} ranks: part r is numbers[r * share : (r + 1)"
            f" * share], with share = n // size, here {share}"
        )
    raise run.wrong(what, hint)


def _squares(run: Run, n: int) -> None:
    squares = run.items(0, "squares")
    if squares == [number**2 for number in range(n)]:
        return
    what = f"rank 0 has squares = {shown(squares)}"
    if len(squares) == run.ranks and all(isinstance(part, list) for part in squares):
        hint = (
            "gather returns a list with one list per rank: join them, [x for part in"
            " parts for x in part] or np.concatenate(parts)"
        )
    elif len(squares) == n // run.ranks:
        hint = "these are the squares of rank 0's part only: gather those of all"
    else:
        hint = "each rank squares its part; gather keeps the order of the ranks"
    raise run.wrong(what, hint)


EXERCISE = Exercise(
    "Scatter and gather",
    "05_scatter.py",
    examine,
    runs=((1, ("12",)), (2, ("12",)), (3, ("12",)), (4, ("12",)), (4, ("4",))),
    keep=("part", "squares"),
)
