"""Thread oversubscription: ranks x threads must not exceed the cores."""

import ast
from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run, Wrong

NAME = "OMP_NUM_THREADS"


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless the threads of all ranks fit the cores and use them."""
    for run in runs:
        cores = int(run.job.arguments[0])
        right = max(1, cores // run.ranks)
        for rank in range(run.ranks):
            threads = run.number(rank, "threads")
            if threads != right:
                raise run.wrong(
                    f"{run.ranks} ranks with {threads:g} threads on {cores} cores,"
                    f" not {right}",
                    _hint(threads, cores, run.ranks),
                )
            setting = run.values[rank].get(f"${NAME}")
            if setting != str(right):
                raise run.wrong(
                    f"rank {rank} has {NAME}={setting or '(not set)'}, and threads ="
                    f" {right}",
                    f'os.environ["{NAME}"] = str(threads)',
                )


def _hint(threads: float, cores: int, ranks: int) -> str:
    if threads < 1:
        return "each rank needs a thread, also with more ranks than cores: max(1, ...)"
    if threads == cores:
        return (
            f"that is {cores * ranks} threads in all: the ranks of a host share its"
            " cores (comm.Split_type(MPI.COMM_TYPE_SHARED).size counts them)"
        )
    if threads != int(threads):
        return "a number of threads is whole: divide with //"
    if threads * ranks > cores:
        return f"that is {threads * ranks:g} threads in all: round down, with //"
    return "the remaining cores are idle: cores // ranks of the host"


def examine_text(text: str) -> None:
    """Raise `Wrong` if NumPy is imported before the variable is set."""
    tree = ast.parse(text)
    imports = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and "numpy" in ast.unparse(node).replace(".", " ").split()
    ]
    settings = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value == NAME
    ]
    if imports and settings and min(imports) < min(settings):
        raise Wrong(
            f"line {min(imports)} imports NumPy, line {min(settings)} sets {NAME}",
            "BLAS reads the variable once, when NumPy is imported: set it above",
        )


EXERCISE = Exercise(
    "Thread oversubscription",
    "13_threads.py",
    examine,
    runs=tuple((ranks, (cores,)) for ranks in (1, 2, 3, 4) for cores in ("8", "2")),
    keep=("threads", f"${NAME}"),
    examine_text=examine_text,
)
