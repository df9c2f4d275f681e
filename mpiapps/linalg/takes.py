"""What the operations of the matrix program take; loads neither NumPy nor MPI."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Takes:
    """What an operation takes.

    Attributes
    ----------
    operands : int
        How many matrices.
    sizes : tuple of int
        How many sizes there may be with --random.
    options : tuple of str
        Those of the options that only some operations have.
    """

    operands: int
    sizes: tuple[int, ...]
    options: tuple[str, ...] = ()


OPERATIONS = {
    "multiply": Takes(2, (3,), ("output", "check", "plan")),
    "gram": Takes(1, (1, 2), ("output", "check", "plan")),
    "cholesky": Takes(1, (1,), ("output", "check", "checkpoint")),
    "solve": Takes(2, (1, 2), ("output", "check", "kind", "checkpoint")),
    "inverse": Takes(1, (1,), ("output", "check", "kind", "checkpoint")),
    "svd": Takes(1, (1, 2), ("output",)),
    "norm": Takes(1, (1, 2)),
    "moments": Takes(1, (1, 2)),
    "transpose": Takes(1, (1, 2), ("output", "check")),
}
# Options that mean something only beside another one.
BESIDE = {
    "seed": "random",
    "dtype": "random",
    "plan": "random",
    "ranks": "plan",
    "memory": "plan",
    "calibrate": "plan",
}
PLANNED = ("random", "dtype", "plan", "ranks", "memory", "calibrate")
