"""Hello from every rank: the same file runs once per rank."""

import re
from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run, shown


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless each rank prints its number and the size, in this order."""
    for run in runs:
        for rank, output in enumerate(run.outputs):
            _line(run, rank, output.strip())


def _line(run: Run, rank: int, line: str) -> None:
    numbers = [int(text) for text in re.findall(r"-?\d+", line)]
    if not line:
        raise run.wrong(
            f"rank {rank} printed nothing",
            "every rank runs the whole file: print without an `if`",
        )
    if "\n" in line:
        raise run.wrong(
            f"rank {rank} printed {len(line.splitlines())} lines",
            "print once on each rank: mpiexec starts the file once per rank, so the"
            " file needs no loop over the ranks",
        )
    if len(numbers) != 2:
        raise run.wrong(
            f"rank {rank} printed {shown(line)}, with {len(numbers)} numbers in it",
            "comm = MPI.COMM_WORLD has the number of this rank, comm.rank, and the"
            " number of ranks, comm.size: print both",
        )
    if numbers == [run.ranks, rank]:
        raise run.wrong(
            f"rank {rank} of {run.ranks} printed {shown(line)}",
            "the rank comes first, then the size",
        )
    if numbers[0] == rank + 1:
        raise run.wrong(
            f"rank {rank} calls itself {numbers[0]}",
            "ranks are counted from 0: the last one is size - 1",
        )
    if numbers != [rank, run.ranks]:
        raise run.wrong(
            f"rank {rank} of {run.ranks} printed {shown(line)}",
            "take both numbers from the communicator; a number that is written in the"
            " file is right for one size only",
        )


EXERCISE = Exercise("Hello from every rank", "01_hello.py", examine)
