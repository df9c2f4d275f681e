"""Arguments of the matrix program's operations; imports neither NumPy nor MPI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class OperationArguments:
    """Arguments of an operation.

    Attributes
    ----------
    operands : int
        Number of matrices.
    sizes : tuple of int
        Allowed numbers of sizes for --random.
    options : tuple of str
        Supported options, of those that not all operations have.
    """

    operands: int
    sizes: tuple[int, ...]
    options: tuple[str, ...] = ()


OPERATIONS = {
    "multiply": OperationArguments(2, (3,), ("output", "check", "plan")),
    "gram": OperationArguments(1, (1, 2), ("output", "check", "plan")),
    "cholesky": OperationArguments(1, (1,), ("output", "check", "checkpoint")),
    "solve": OperationArguments(2, (1, 2), ("output", "check", "kind", "checkpoint")),
    "inverse": OperationArguments(1, (1,), ("output", "check", "kind", "checkpoint")),
    "svd": OperationArguments(1, (1, 2), ("output",)),
    "norm": OperationArguments(1, (1, 2)),
    "moments": OperationArguments(1, (1, 2)),
    "transpose": OperationArguments(1, (1, 2), ("output", "check")),
}
# Options that require another option.
REQUIRED_OPTIONS = {
    "seed": "random",
    "dtype": "random",
    "plan": "random",
    "ranks": "plan",
    "memory": "plan",
    "calibrate": "plan",
}
PLAN_OPTIONS = ("random", "dtype", "plan", "ranks", "memory", "calibrate")


def check_use(operation: str, changed: Mapping[str, object]) -> None:
    """Raise `ValueError` if an option that is not at its default has no effect."""
    for name in sorted(set(changed) - {"operation", "files", "random"}):
        required = REQUIRED_OPTIONS.get(name, "")
        if required and required not in changed:
            raise ValueError(f"--{name} applies only with --{required}; add it")
        operations = [other for other, row in OPERATIONS.items() if name in row.options]
        if operations and operation not in operations:
            raise ValueError(
                f"--{name} applies only to {', '.join(operations)}, not {operation}"
            )
        if "plan" in changed and name not in PLAN_OPTIONS:
            raise ValueError(
                f"--{name} applies only to results, and --plan computes none"
            )
