"""Operations on matrices over MPI ranks: products, factors, solutions.

What each operation computes, and how it is checked, is a row of the table in
`mpiapps.linalg.operations`. docs/matrix.md leads here from one host to many.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mpiapps.app import Program, Result, checkpoint, main, option
from mpiapps.app.lockstep import Lockstep
from mpiapps.app.progress import Progress
from mpiapps.base.errors import InputError

if TYPE_CHECKING:
    from mpiapps.comm.world import World
    from mpiapps.linalg.distmatrix import DistMatrix
    from mpiapps.linalg.operations import Operation
    from mpiapps.linalg.solve import Factors
    from mpiapps.linalg.triangles import Halfway

# Times the rounding error that a check allows: products of random signs stay below 10.
TOLERANCE = 100
NAMES = ["multiply", "gram", "cholesky", "solve", "inverse", "svd", "norm", "moments",
         "transpose"]  # fmt: skip
OPERANDS = {name: 2 if name in ("multiply", "solve") else 1 for name in NAMES}
Values = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What to compute, of which matrices."""

    operation: str = option(
        "",
        ", ".join(OPERANDS),
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
        "", "write the result to FILE, a .npy or .h5", metavar="FILE", short="o"
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
    if options.operation not in OPERANDS:
        raise ValueError(
            f"operation {options.operation!r} is not one of {', '.join(OPERANDS)}"
        )
    operands = OPERANDS[options.operation]
    product = options.operation in ("multiply", "gram")
    if options.calibrate and not options.plan:
        raise ValueError("--calibrate is for --plan; give both")
    if options.plan and not (product and options.random):
        raise ValueError("--plan is for multiply and gram with --random sizes")
    if options.random:
        least, most = (3, 3) if options.operation == "multiply" else (1, 3)
        if options.files or not least <= len(options.random) <= most:
            raise ValueError(
                f"--random {' '.join(map(str, options.random))}: give {least} to {most}"
                " sizes and no files"
            )
    elif len(options.files) != operands:
        raise ValueError(
            f"{options.operation} takes {operands} matrices, and"
            f" {len(options.files)} files were given; or give --random sizes"
        )


def run(world: World, options: Options) -> Result:
    """Read or make the matrices, compute, check and write. Collective."""
    if options.plan:
        return Result(_planned(world, options))
    from mpiapps.linalg.check import CHECKS
    from mpiapps.linalg.files import write
    from mpiapps.linalg.operations import OPERATIONS

    with world.timed("read"):
        operands = _operands(world, options)
    row = OPERATIONS[options.operation]
    with world.timed(options.operation), _as_input():
        factors = _factors(world, options, row, operands[0]) if row.factors else None
        found = row.compute(operands, factors)
    made = None if isinstance(found, dict) else found
    values = found if isinstance(found, dict) else {}
    code, notes = 0, []
    if made is not None:
        values |= {"rows": made.shape[0], "columns": made.shape[1]}
        if options.check and row.check:
            with world.timed("check"):
                error = values["check"] = CHECKS[row.check](operands, made)
            if not error <= TOLERANCE:
                code = 4
                notes.append(
                    f"the check failed: the error is {error:.3g} times the rounding"
                    f" error, and at most {TOLERANCE} is expected"
                )
        if options.output:
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
    return {
        "ranks": size,
        "grid": [found.grid.pm, found.grid.pn, found.grid.pk],
        "memory": found.memory,
        "received": found.received,
        "messages": found.messages,
        "flops": found.flops,
        "lower_bound": found.bound,
        "times_lower_bound": found.received / found.bound if found.bound else 1.0,
        "seconds": found.seconds(machine),
        "machine": [machine.flops, machine.bandwidth, machine.latency],
    }


@contextmanager
def _as_input() -> Iterator[None]:
    """Turn what a matrix is unfit for into an error of the input."""
    from numpy.linalg import LinAlgError

    try:
        yield
    except (LinAlgError, ValueError, MemoryError) as error:
        raise InputError(str(error)) from error


PROGRAM = Program("matrix", "Multiply, factorise and solve.", Options, run, check)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
