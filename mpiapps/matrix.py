"""Operations on matrices over MPI ranks: products, factors, solutions.

The operations are functions of `mpiapps.linalg.operations`, and of other packages.
docs/matrix.md explains the algorithms.
"""

from __future__ import annotations

import math
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main, option
from mpiapps.app.collective_checkpoint import resumed_panels
from mpiapps.base.errors import InputError
from mpiapps.base.platforms import PLATFORMS
from mpiapps.device.choice import DEVICES
from mpiapps.linalg.operation import USER_KIND, Operation
from mpiapps.linalg.operations import OPERATIONS, find_operation, load_algorithms

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.comm.world import World
    from mpiapps.linalg.distmatrix import DistMatrix

# Largest error that a check accepts, in rounding errors; correct results are below 10.
TOLERANCE = 100
# Options that require another option.
REQUIRED_OPTIONS = {
    "seed": "random",
    "dtype": "random",
    "plan": "random",
    "ranks": "plan",
    "memory": "plan",
    "calibrate": "plan",
    "platform": "plan",
}
PLAN_OPTIONS = {
    *("random", "dtype", "k"),
    *("plan", "ranks", "memory", "calibrate", "platform"),
}


@dataclass(frozen=True)
class Options:
    """Options of the matrix program."""

    operation: str = option(
        "", ", ".join(OPERATIONS), positional=True, metavar="OPERATION"
    )
    files: tuple[str, ...] = option(
        (), "matrices: .npy, or HDF5 as FILE.h5:NAME", nargs="*", positional=True,
        metavar="FILE", file="read",
    )  # fmt: skip
    output: str = option(
        "",
        "write the result to FILE (.npy or .h5; for svd: the singular values)",
        metavar="FILE", short="o", changeable=True, file="written",
    )  # fmt: skip
    random: tuple[int, ...] = option(
        (),
        "random matrices in place of files: M N K for products (M x K by K x N), else"
        " rows and columns",
        type="count",
        nargs="+",
        metavar="SIZE",
        max=2**40,
    )
    seed: int = option(0, "seed of random matrices", type="count", max=2**32 - 2, min=0)
    dtype: str = option(
        "f8", "dtype of random matrices", choices=("f4", "f8", "c8", "c16")
    )
    kind: str = option(
        "general",
        "matrix to solve with or to invert: LU, or Cholesky for positive definite",
        choices=("general", "positive"),
    )
    k: int = option(
        6,
        "number of eigenvalues for eigsh, of singular values for svds",
        type="count",
        min=0,
        metavar="K",
    )
    which: str = option(
        "LM",
        "eigenvalues for eigsh: largest by magnitude, largest, smallest, or both ends",
        choices=("LM", "LA", "SA", "BE"),
    )
    device: str = option("cpu", "where local blocks are computed", choices=DEVICES)
    check: bool = option(
        False, "check the result; exit code 4 if the check fails", changeable=True
    )
    plan: bool = option(False, "only print algorithm, memory, messages and time")
    ranks: int = option(
        0,
        "number of ranks for --plan (default: those of this run)",
        type="count",
        min=0,
        max=10**7,
    )
    memory: int = option(
        0, "memory per rank for --plan (default: unlimited)", type="size"
    )
    calibrate: bool = option(False, "measure the speed of this machine for --plan")
    platform: str = option(
        "",
        "cores and network for --plan, such as torus-100-slow (docs/scale.md)",
        choices=("", *PLATFORMS),
        metavar="NAME",
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options conflict. Local."""
    if options.operation not in OPERATIONS:
        raise ValueError(
            f"operation {options.operation!r} is not one of {', '.join(OPERATIONS)}"
        )
    operation = find_operation(options.operation)
    if options.random:
        if options.files or len(options.random) not in operation.sizes:
            counts = " or ".join(map(str, operation.sizes))
            raise ValueError(
                f"{options.operation} --random {' '.join(map(str, options.random))}:"
                f" expected {counts} sizes and no files"
            )
    elif len(options.files) not in operation.operands:
        counts = " or ".join(map(str, operation.operands))
        raise ValueError(
            f"{options.operation} takes {counts} matrices, and"
            f" {len(options.files)} files were given; name the files, or use --random"
        )
    changed = {
        field.name
        for field in fields(Options)
        if getattr(options, field.name) != field.default
    }
    if {"platform", "calibrate"} <= changed:
        raise ValueError("--platform and --calibrate both give the speed; omit one")
    for name in sorted(changed - {"operation", "files", "random"}):
        _check_use(options.operation, name, changed)


def _check_use(operation: str, name: str, changed: set[str]) -> None:
    """Raise `ValueError` if an option has no effect beside the other changed ones."""
    required = REQUIRED_OPTIONS.get(name, "")
    if required and required not in changed:
        raise ValueError(f"--{name} applies only with --{required}; add it")
    if not find_operation(operation).supports.get(name, True):
        others = [other for other in OPERATIONS if find_operation(other).supports[name]]
        raise ValueError(
            f"--{name} applies only to {', '.join(others)}, not {operation}"
        )
    if "plan" in changed and name not in PLAN_OPTIONS:
        raise ValueError(f"--{name} applies only to results, and --plan computes none")


def resumable(options: Options) -> bool:
    """Return whether the operation supports checkpoints. Local."""
    operation = find_operation(options.operation)
    return bool(operation.factors) or operation.reduction


def run(ctx: RunContext, options: Options) -> Result:
    """Read or generate the matrices, compute, check and write. Collective."""
    world, operation = ctx.world, find_operation(options.operation)
    if options.plan:
        return Result(_planned(world, options, operation))
    load_algorithms()
    from mpiapps.linalg import devices
    from mpiapps.linalg.files import check_output, check_results, unchanged, write

    device = devices.use_device(world) if options.device == "cuda" else None
    if options.output:
        check_output(world.comm, options.output, options.files)
    check_results(world.comm, ctx.outputs, [*options.files, options.output])
    kept = options.files if ctx.checkpoint.enabled else ()
    with world.timed("read"), _as_input(), unchanged(world.comm, kept) as stamps:
        operands, vector = _operands(world, options, operation)
    if operation.kernels:
        pkgutil.resolve_name(operation.kernels).compile_kernels(ctx.compiling)
    inputs = devices.upload(world, operands) if device else operands
    with world.timed(options.operation), _as_input():
        result, values = _compute(ctx, options, operation, inputs, stamps)
        devices.wait(result)
    if device:
        result, values = devices.download(world, result, values)
    if vector and "rows" in values and result is not None:
        values |= {"rows": result.size, "columns": 1}  # as it is read from its file
    code, notes = 0, device.notes if device else []
    if options.check and result is not None:
        error_of = pkgutil.resolve_name(operation.check)
        with world.timed("check"):
            error = values["check"] = error_of(operands, result)
        if not error <= TOLERANCE:
            code = 4
            notes.append(
                f"the check failed: the error is {error:.3g} times the rounding"
                f" error; expected at most {TOLERANCE}"
            )
    if options.output and result is not None:
        with world.timed("write"):
            write(options.output, result, vector=vector)
    row = {"rank": world.rank, "host": world.host, "elements": operands[0].local.size}
    ranks = world.comm.gather(row | devices.columns(device))
    return Result(values, ranks or [], notes, code)


def _operands(
    world: World, options: Options, operation: Operation
) -> tuple[list[DistMatrix], bool]:
    """Return the operands, and whether the result is a vector. Collective."""
    from mpiapps.linalg.files import read_operands
    from mpiapps.linalg.random_operands import positive_definite, random_operands

    if not options.random:
        return read_operands(world.comm, options.files, vectors=operation.vectors)
    values = options.random, options.seed, options.dtype
    matrices = random_operands(world.comm, operation, *values)
    if operation.factors and _kind(options, operation) == "positive":
        matrices[0] = positive_definite(matrices[0])
    return matrices, False


def _kind(options: Options, operation: Operation) -> str:
    """Return the factorisation of an operation that has one. Local."""
    return options.kind if operation.factors == USER_KIND else operation.factors


def _compute(
    ctx: RunContext,
    options: Options,
    operation: Operation,
    operands: list[DistMatrix],
    stamps: list[list[int]],
) -> tuple[DistMatrix | None, dict[str, Any]]:
    """Return the resulting matrix or `None`, and values. Collective."""
    from mpiapps.linalg import factor_checkpoint, reduction_checkpoint
    from mpiapps.linalg.solve import factorise

    columns = min(operands[0].shape)
    if operation.reduction:
        with resumed_panels(ctx, reduction_checkpoint, columns, stamps) as panels:
            return operation.compute(operands, **panels)
    factors = None
    if operation.factors:
        with resumed_panels(ctx, factor_checkpoint, columns, stamps) as panels:
            is_one_call = options.device == "cuda" and ctx.world.size == 1
            if is_one_call and not ctx.checkpoint.enabled:
                panels["on_panel"] = None  # of one device; no progress inside of it
            factors = factorise(operands[0], _kind(options, operation), **panels)
    given = {name: getattr(options, name) for name in operation.options}
    return operation.compute(operands, factors, **given)


def _planned(world: World, options: Options, operation: Operation) -> dict[str, Any]:
    """Return algorithm and cost. Collective with ``--calibrate``."""
    from mpiapps.linalg.cost_model import Machine
    from mpiapps.linalg.operation_plan import plan_operation

    size, limit = options.ranks or world.size, options.memory or math.inf
    with _as_input():
        k = options.k if "k" in operation.options else 0
        given = operation, options.random, size, options.dtype
        cost = plan_operation(*given, memory=limit, k=k)
    machine = Machine.of(options.platform)
    if options.calibrate:
        from mpiapps.linalg.calibrate import calibrate

        machine = calibrate(world.comm)
    return {"ranks": size} | cost.values(machine)


@contextmanager
def _as_input() -> Iterator[None]:
    """Convert errors caused by the matrices to `InputError`."""
    from numpy.linalg import LinAlgError

    try:
        yield
    except (LinAlgError, ValueError, MemoryError) as error:
        raise InputError(str(error)) from error


PROGRAM = Program(
    "matrix",
    "Multiply, factorise and solve.",
    Options,
    run,
    check,
    resumable=resumable,
)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
