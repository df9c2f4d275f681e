"""Who prints: results come to the root, and the root prints them in order."""

import re
from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run, shown


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless rank 0, and no other, prints the squares in order."""
    for run in runs:
        for rank, output in enumerate(run.outputs[1:], 1):
            if output.strip():
                hint = (
                    "gather returns None on all ranks but the root: print under"
                    " `if rank == 0:`"
                    if "None" in output
                    else "mpiexec mixes the lines of all ranks as they come. Bring the"
                    " values to rank 0 with comm.gather, and print there"
                )
                raise run.wrong(f"rank {rank} printed {shown(output.strip())}", hint)
        _root(run, run.outputs[0].strip().splitlines())


def _root(run: Run, lines: list[str]) -> None:
    expected = [[rank, rank**2] for rank in range(run.ranks)]
    printed = [[int(text) for text in re.findall(r"-?\d+", line)] for line in lines]
    if len(lines) != run.ranks:
        raise run.wrong(
            f"rank 0 printed {len(lines)} lines, and there are {run.ranks} values",
            "one line for each rank: gather returns the list of all values on rank 0;"
            " print it in a loop",
        )
    for rank, numbers in enumerate(printed):
        if numbers == expected[rank]:
            continue
        hint = (
            "gather returns the values in the order of the ranks: do not sort them"
            if sorted(printed) == expected
            else "write the rank, then its value rank * rank, which that rank computed"
        )
        raise run.wrong(f"line {rank + 1} of rank 0 is {shown(lines[rank])}", hint)


EXERCISE = Exercise("Who prints", "03_who_prints.py", examine)
