"""Operations on matrices over MPI ranks: products, factors, solutions.

The table in `mpiapps.linalg.operations` defines the operations and their checks.
docs/matrix.md explains the algorithms.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, main, option
from mpiapps.app.collective_checkpoint import CollectiveCheckpointer
from mpiapps.base.errors import InputError
from mpiapps.linalg.operation_arguments import (
    OPERATIONS,
    check_use,
)

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.comm.world import World
    from mpiapps.linalg.distmatrix import DistMatrix
    from mpiapps.linalg.factorization import PartialFactorization
    from mpiapps.linalg.operations import Operation
    from mpiapps.linalg.solve import Factors

# Largest error that a check accepts, in rounding errors; correct results are below 10.
TOLERANCE = 100
Values = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """Options of the matrix program."""

    operation: str = option(
        "",
        ", ".join(OPERATIONS),
        positional=True,
        metavar="OPERATION",
    )
    files: tuple[str, ...] = option(
        (),
        "matrices: .npy, or HDF5 as FILE.h5:NAME",
        nargs="*",
        positional=True,
        metavar="FILE",
    )
    output: str = option(
        "",
        "write the result to FILE (.npy or .h5; for svd: the singular values)",
        metavar="FILE",
        short="o",
    )
    random: tuple[int, ...] = option(
        (),
        "random matrices in place of files: M N K for products (M x K by K x N), else"
        " rows and columns",
        type="count",
        nargs="+",
        metavar="SIZE",
        max=2**40,
    )
    seed: int = option(
        0, "seed of the random matrices", type="count", min=0, max=2**32 - 2
    )
    dtype: str = option(
        "f8", "dtype of random matrices", choices=("f4", "f8", "c8", "c16")
    )
    kind: str = option(
        "general",
        "matrix to solve with or to invert: LU, or Cholesky for positive definite",
        choices=("general", "positive"),
    )
    check: bool = option(False, "check the result; exit code 4 if the check fails")
    plan: bool = option(False, "only print grid, memory and messages of a product")
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


def check(options: Options) -> None:
    """Raise `ValueError` if the options conflict. Local."""
    if options.operation not in OPERATIONS:
        raise ValueError(
            f"operation {options.operation!r} is not one of {', '.join(OPERATIONS)}"
        )
    takes = OPERATIONS[options.operation]
    if options.random:
        counts = " or ".join(map(str, takes.sizes))
        if options.files or len(options.random) not in takes.sizes:
            raise ValueError(
                f"{options.operation} --random {' '.join(map(str, options.random))}:"
                f" expected {counts} sizes and no files"
            )
    elif len(options.files) != takes.operands:
        raise ValueError(
            f"{options.operation} takes {takes.operands} matrices, and"
            f" {len(options.files)} files were given; name the files, or use --random"
        )
    changed = {
        field.name: getattr(options, field.name)
        for field in fields(Options)
        if getattr(options, field.name) != field.default
    }
    check_use(options.operation, changed)


def resumable(options: Options) -> bool:
    """Return whether the operation supports checkpoints. Local."""
    return "checkpoint" in OPERATIONS[options.operation].options


def run(ctx: RunContext, options: Options) -> Result:
    """Read or generate the matrices, compute, check and write. Collective."""
    world = ctx.world
    if options.plan:
        return Result(_planned(world, options))
    from mpiapps.linalg.files import check_output, write
    from mpiapps.linalg.operations import OPERATIONS
    from mpiapps.linalg.residual_check import CHECKS

    if options.output:
        check_output(world.comm, options.output, options.files)
    with world.timed("read"), _as_input():
        operands = _operands(world, options)
    row = OPERATIONS[options.operation]
    with world.timed(options.operation), _as_input():
        factors = _factors(ctx, options, row, operands[0]) if row.factors else None
        result, values = row.compute(operands, factors)
    code, notes = 0, []
    if options.check and result is not None:
        with world.timed("check"):
            error = values["check"] = CHECKS[row.check](operands, result)
        if not error <= TOLERANCE:
            code = 4
            notes.append(
                f"the check failed: the error is {error:.3g} times the rounding"
                f" error; expected at most {TOLERANCE}"
            )
    if options.output and result is not None:
        with world.timed("write"):
            write(options.output, result)
    ranks = world.comm.gather(
        {"rank": world.rank, "host": world.host, "elements": operands[0].local.size}
    )
    return Result(values, ranks or [], notes, code)


def _operands(world: World, options: Options) -> list[DistMatrix]:
    from mpiapps.linalg.distmatrix import DistMatrix
    from mpiapps.linalg.files import read

    if not options.random:
        return [read(world.comm, name) for name in options.files]
    shapes = _shapes(options)
    layouts: list[Any] = [None] * len(shapes)
    if options.operation == "multiply":
        from mpiapps.linalg.grid_choice import choose_grid

        m, n, k = options.random
        layouts = list(choose_grid(m, n, k, world.size).layouts(m, n, k))
    made = [
        DistMatrix.random(
            world.comm, shape, options.seed + i, options.dtype, layouts[i]
        )
        for i, shape in enumerate(shapes)
    ]
    if options.operation == "cholesky" or options.kind == "positive":
        n = shapes[0][0]
        eye = DistMatrix.eye(world.comm, n, options.dtype, made[0].layout)
        made[0] = made[0] + made[0].H.redistribute(made[0].layout) + (2 * n) * eye
    return made


def _factors(
    ctx: RunContext, options: Options, row: Operation, a: DistMatrix
) -> Factors:
    """Factorise A, or resume from a checkpoint. Collective."""
    from mpiapps.linalg import factor_checkpoint
    from mpiapps.linalg.operations import USER_KIND
    from mpiapps.linalg.solve import factorise

    world, checkpoint = ctx.world, ctx.checkpoint
    inputs = world.comm.bcast(_file_stamps(options))
    saved = checkpoint.load()
    partial = None
    if saved is not None:
        if saved.state["inputs"] != inputs:
            raise InputError(
                f"{', '.join(options.files)} changed since the checkpoint was written;"
                " remove the checkpoint to start again"
            )
        file = checkpoint.data_path(saved.state["slot"])
        partial = factor_checkpoint.load(world.comm, file, saved.state)
    checkpointer = CollectiveCheckpointer(world, checkpoint, saved)

    def work_fraction(done: int) -> float:
        return 1 - (1 - done / a.shape[0]) ** 3  # of the flops

    begun = 0.0 if partial is None else work_fraction(partial.done)
    with ctx.progress(1 - begun, "the factorisation") as progress:
        past = begun

        def on_panel(state: PartialFactorization) -> None:
            nonlocal past
            progress.add(work_fraction(state.done) - past)
            past = work_fraction(state.done)
            checkpointer.maybe_save(
                past,
                lambda file: {**factor_checkpoint.save(state, file), "inputs": inputs},
            )

        kind = options.kind if row.factors == USER_KIND else row.factors
        return factorise(a, kind, on_panel=on_panel, partial=partial)


def _file_stamps(options: Options) -> list[list[int]]:
    """Return size and modification time of the input files. Local."""
    from mpiapps.linalg.files import path_of

    stats = [path_of(name).stat() for name in options.files]
    return [[stat.st_size, stat.st_mtime_ns] for stat in stats]


def _shapes(options: Options) -> list[tuple[int, int]]:
    """Return the shapes of random operands. Local."""
    sizes = options.random
    if options.operation == "multiply":
        m, n, k = sizes
        return [(m, k), (k, n)]
    if options.operation == "solve":
        return [(sizes[0], sizes[0]), (sizes[0], sizes[1] if len(sizes) > 1 else 1)]
    return [(sizes[0], sizes[1] if len(sizes) > 1 else sizes[0])]


def _planned(world: World, options: Options) -> Values:
    import numpy as np

    from mpiapps.linalg.cost_model import Machine, plan

    sizes = options.random
    if options.operation == "gram":
        m, n = (sizes[0], sizes[1] if len(sizes) > 1 else sizes[0])
        sizes = (n, n, m)
    m, n, k = sizes
    size = options.ranks or world.size
    itemsize = np.dtype(options.dtype).itemsize
    with _as_input():
        cost = plan(m, n, k, size, itemsize, options.memory or math.inf)
    machine = Machine()
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
