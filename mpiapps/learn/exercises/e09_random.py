"""Random streams that overlap: independent numbers on each rank, and repeatable."""

from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run

SPAWN = (
    "np.random.SeedSequence(seed).spawn(size)[rank] is a seed for this rank: pass it to"
    " default_rng"
)


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless streams have no number in common, and repeat by seed."""
    seen: dict[tuple[int, str], list[list[float]]] = {}
    for run in runs:
        seed = run.job.arguments[0]
        streams = [run.items(rank, "x") for rank in range(run.ranks)]
        _apart(run, streams)
        before = seen.setdefault((run.ranks, seed), streams)
        if before != streams:
            raise run.wrong(
                f"a second run with seed {seed} has other numbers",
                "nobody can repeat such a run: let all random numbers follow from the"
                " seed of the command line. " + SPAWN,
            )
    _seeds_apart(runs, seen)


def _apart(run: Run, streams: list[list[float]]) -> None:
    for rank, x in enumerate(streams):
        if len(x) < 2 or len(set(x)) < len(x):
            raise run.wrong(
                f"rank {rank} has {len(set(x))} different numbers in x",
                "x has n random numbers, from one generator of this rank",
            )
        for other in range(rank):
            common = set(x) & set(streams[other])
            if not common:
                continue
            if x == streams[other]:
                hint = "they use one seed, so all ranks do the same experiment"
            else:
                hint = (
                    "their streams overlap: one begins inside the other. Parts of one"
                    " stream are independent only if no rank draws more than its part"
                )
            raise run.wrong(
                f"ranks {other} and {rank} have {len(common)} of {len(x)} numbers in"
                " common",
                f"{hint}. {SPAWN}",
            )


def _seeds_apart(
    runs: Sequence[Run], seen: dict[tuple[int, str], list[list[float]]]
) -> None:
    for run in runs:
        seed = run.job.arguments[0]
        others = [
            (other, stream, rank)
            for (ranks, other), streams in seen.items()
            if ranks == run.ranks and other != seed
            for rank, stream in enumerate(streams)
        ]
        for other, stream, rank in others:
            for mine, x in enumerate(seen[run.ranks, seed]):
                if set(x) & set(stream):
                    raise run.wrong(
                        f"rank {mine} with seed {seed} has the numbers of rank {rank}"
                        f" with seed {other}",
                        "seed + rank gives rank 1 of one run the stream of rank 0 of"
                        " the next, so two runs that you average are not independent. "
                        + SPAWN,
                    )


EXERCISE = Exercise(
    "Random streams that overlap",
    "09_random.py",
    examine,
    runs=(
        *((ranks, ("7", "200")) for ranks in (1, 2, 3, 4)),
        (4, ("7", "200")),
        (4, ("8", "200")),
        (4, ("9", "200")),
    ),
    keep=("x",),
)
