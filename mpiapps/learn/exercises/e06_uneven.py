"""Uneven blocks: n items on P ranks, where P does not divide n."""

from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless the blocks cover all items once, in order, evenly."""
    for run in runs:
        n = int(run.job.arguments[0])
        blocks = [
            (int(run.number(rank, "first")), int(run.number(rank, "last")))
            for rank in range(run.ranks)
        ]
        _cover(run, n, blocks)
        _even(run, n, [last - first for first, last in blocks])


def _cover(run: Run, n: int, blocks: list[tuple[int, int]]) -> None:
    end = 0
    for rank, (first, last) in enumerate(blocks):
        block = f"rank {rank} has the items {first} to {last} (without {last})"
        if last < first:
            raise run.wrong(block, "a block may be empty, but not end before it begins")
        if first < end:
            raise run.wrong(
                block,
                f"items {first} to {end - 1} are on two ranks: each block begins where"
                " the one before it ends",
            )
        if first > end:
            raise run.wrong(
                block,
                f"items {end} to {first - 1} are on no rank: each block begins where"
                " the one before it ends, and `last` is not in the block",
            )
        end = last
    if end != n:
        what = f"the blocks end before item {end}"
        lost = f"items {end} to {n - 1} are on no rank"
        beyond = f"there are {n} items only"
        raise run.wrong(
            f"{what}, but {lost if end < n else beyond}",
            f"{n} = {run.ranks} * {n // run.ranks} + {n % run.ranks}: n // size drops"
            " the remainder, and rounding up takes too many. The first n % size ranks"
            " have one item more than the others",
        )


def _even(run: Run, n: int, sizes: list[int]) -> None:
    if max(sizes) - min(sizes) <= 1:
        return
    most, least = sizes.index(max(sizes)), sizes.index(min(sizes))
    if sizes[:-1] == [n // run.ranks] * (run.ranks - 1):
        hint = (
            "the last rank has the whole remainder, and all others wait for it: give"
            " one item more to each of the first n % size ranks"
        )
    else:
        hint = (
            "rounding up leaves nothing for the last ranks: n // size items each, and"
            " one more for the first n % size ranks"
        )
    raise run.wrong(
        f"rank {most} has {max(sizes)} of {n} items, and rank {least} {min(sizes)}",
        hint,
    )


EXERCISE = Exercise(
    "Uneven blocks",
    "06_uneven.py",
    examine,
    runs=tuple(
        (ranks, (str(n),))
        for ranks in (1, 2, 3, 4)
        for n in sorted({10, 0, 1, ranks - 1, ranks, ranks + 1, 2 * ranks - 1})
    ),
    keep=("first", "last"),
)
