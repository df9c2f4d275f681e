"""Operations on matrices over MPI ranks: products, factors, solutions.

What each operation computes, and how it is checked, is a row of the table in
`mpiapps.linalg.operations`. docs/matrix.md leads here from one host to many.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, checkpoint, main, option
from mpiapps.app.lockstep import Lockstep
from mpiapps.app.progress import Progress
from mpiapps.base.errors import InputError
from mpiapps.linalg.takes import BESIDE, OPERATIONS, PLANNED

if TYPE_CHECKING:
    from mpiapps.comm.world import World
    from mpiapps.linalg.distmatrix import DistMatrix
    from mpiapps.linalg.operations import Operation
    from mpiapps.linalg.solve import Factors
    from mpiapps.linalg.triangles import Halfway

# Times the rounding error that a check allows: products of random signs stay below 10.
TOLERANCE = 100
Values = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What to compute, of which matrices."""

    operation: str = option(
        "",
        ", ".join(OPERATIONS),
        positional=True,
        metavar="OPERATION",
    )
    files: tuple[str, ...] = option(
        (),
        "matrices: .npy, or HDF5 as FILE.h5:NAME",
        several="*",
        positional=True,
        metavar="FILE",
    )
    output: str = option(
        "",
        "write the result to FILE, a .npy or .h5; of svd the singular values",
        metavar="FILE",
        short="o",
    )
    random: tuple[int, ...] = option(
        (),
        "random matrices in place of files: M N K for products (M x K by K x N), else"
        " rows and columns",
        parse="count",
        several="+",
        metavar="SIZE",
        most=2**40,
    )
    seed: int = option(
        0, "key of the random numbers", parse="count", least=0, most=2**32 - 2
    )
    dtype: str = option("f8", "of random matrices", choices=("f4", "f8", "c8", "c16"))
    kind: str = option(
        "general",
        "of the matrix to solve with or to invert; positive: Hermitian and definite",
        choices=("general", "positive"),
    )
    check: bool = option(False, "check the result; exit code 4 if it is wrong")
    plan: bool = option(False, "tell grid, memory and messages of a product, no more")
    ranks: int = option(
        0,
        "ranks to plan for (0: those of this run)",
        parse="count",
        least=0,
        most=10**7,
    )
    memory: int = option(0, "of each rank to plan for (0: any)", parse="size")
    calibrate: bool = option(False, "plan for this machine, measured on these ranks")


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not go together. Local."""
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
                f" give {counts} sizes and no files"
            )
    elif len(options.files) != takes.operands:
        raise ValueError(
            f"{options.operation} takes {takes.operands} matrices, and"
            f" {len(options.files)} files were given; or give --random sizes"
        )
    _check_use(options)


def _check_use(options: Options) -> None:
    """Raise `ValueError` if an option that is given would do nothing. Local."""
    given = {
        each.name
        for each in fields(Options)
        if getattr(options, each.name) != each.default
    } - {"operation", "files", "random"}
    for name in sorted(given):
        beside = BESIDE.get(name, "")
        if beside and not getattr(options, beside):
            raise ValueError(f"--{name} is for --{beside}; give both")
        having = [other for other, row in OPERATIONS.items() if name in row.options]
        if having and options.operation not in having:
            raise ValueError(
                f"--{name} is for {', '.join(having)}; {options.operation} has none"
            )
        if options.plan and name not in PLANNED:
            raise ValueError(f"--{name} is for a result, and --plan computes none")


def resumable(options: Options) -> bool:
    """Return whether the run can stop and go on later. Local."""
    return "checkpoint" in OPERATIONS[options.operation].options


def run(world: World, options: Options) -> Result:
    """Read or make the matrices, compute, check and write. Collective."""
    if options.plan:
        return Result(_planned(world, options))
    from mpiapps.linalg.check import CHECKS
    from mpiapps.linalg.files import check_output, write
    from mpiapps.linalg.operations import OPERATIONS

    if options.output:
        check_output(world.comm, options.output, options.files)
    with world.timed("read"), _as_input():
        operands = _operands(world, options)
    row = OPERATIONS[options.operation]
    with world.timed(options.operation), _as_input():
        factors = _factors(world, options, row, operands[0]) if row.factors else None
        made, values = row.compute(operands, factors)
    code, notes = 0, []
    if options.check and made is not None:
        with world.timed("check"):
            error = values["check"] = CHECKS[row.check](operands, made)
        if not error <= TOLERANCE:
            code = 4
            notes.append(
                f"the check failed: the error is {error:.3g} times the rounding"
                f" error, and at most {TOLERANCE} is expected"
            )
    if options.output and made is not None:
        with world.timed("write"):
            write(options.output, made)
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
        from mpiapps.linalg.choose import choose_grid

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


def _factors(world: World, options: Options, row: Operation, a: DistMatrix) -> Factors:
    """Factorise A, or go on with what an earlier run saved. Collective."""
    from mpiapps.linalg import halfway
    from mpiapps.linalg.operations import ASKED
    from mpiapps.linalg.solve import factorise

    inputs = world.comm.bcast(_stamps(options))
    saved = checkpoint.load(world, "matrix", options)
    since = None
    if saved is not None:
        if saved.state["inputs"] != inputs:
            raise InputError(
                f"{', '.join(options.files)} changed since the checkpoint was written;"
                " remove it to begin anew"
            )
        file = checkpoint.beside(saved.state["turn"])
        since = halfway.load(world.comm, file, saved.state)
    stops = Lockstep(world, "matrix", options, saved)

    def share(done: int) -> float:
        return 1 - (1 - done / a.shape[0]) ** 3  # of the arithmetic

    begun = 0.0 if since is None else share(since.done)
    with Progress(world, 1 - begun, "the factors") as progress:
        past = begun

        def at(found: Halfway) -> None:
            nonlocal past
            progress.add(share(found.done) - past)
            past = share(found.done)
            stops.at(past, lambda file: {**halfway.save(found, file), "inputs": inputs})

        kind = options.kind if row.factors == ASKED else row.factors
        return factorise(a, kind, at=at, since=since)


def _stamps(options: Options) -> list[list[int]]:
    """Return size and time of each input file. Local."""
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

    from mpiapps.linalg.plan import Machine, plan

    sizes = options.random
    if options.operation == "gram":
        m, n = (sizes[0], sizes[1] if len(sizes) > 1 else sizes[0])
        sizes = (n, n, m)
    m, n, k = sizes
    size = options.ranks or world.size
    itemsize = np.dtype(options.dtype).itemsize
    with _as_input():
        found = plan(m, n, k, size, itemsize, options.memory or math.inf)
    machine = Machine()
    if options.calibrate:
        from mpiapps.linalg.calibrate import calibrate

        machine = calibrate(world.comm)
    return {"ranks": size} | found.values(machine)


@contextmanager
def _as_input() -> Iterator[None]:
    """Turn what a matrix is unfit for into an error of the input."""
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
