"""Heat in a plate, explicit in time: mpiapps run docs/examples/heat.py -n 4 --n 500."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mpiapps.app import Program, Result, main, option

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext


@dataclass(frozen=True)
class Options:
    """Size of the plate and number of steps."""

    n: int = option(200, "points per side", type="count", min=1)
    steps: int = option(1000, "time steps", type="count", min=0)
    output: str = option("", "write the temperatures to this .npy file")


def update(new, old, part):
    """Compute one step in `part`, from its points and their neighbours."""
    rows, cols = part
    up, down = (slice(rows.start + i, rows.stop + i) for i in (-1, 1))
    left, right = (slice(cols.start + i, cols.stop + i) for i in (-1, 1))
    centre = old[rows, cols]
    vertical = old[up, cols] - 2 * centre + old[down, cols]
    horizontal = old[rows, left] - 2 * centre + old[rows, right]
    new[part] = centre + 0.2 * (vertical + horizontal)


def run(ctx: RunContext, options: Options) -> Result:
    """Heat the top edge, periodic from left to right. Collective."""
    from mpiapps.app.collective_checkpoint import CollectiveCheckpointer
    from mpiapps.comm.cartesian import CartGrid
    from mpiapps.comm.halo import Halo
    from mpiapps.linalg.npy_blocks import read_npy_block, write_npy_block

    saved, first = ctx.checkpoint.load(), 0
    checkpointer = CollectiveCheckpointer(ctx.world, ctx.checkpoint, saved)
    shape = options.n, options.n
    with CartGrid(ctx.world, shape, periodic=(False, True)) as grid, Halo(grid) as halo:
        old, new = halo.zeros(), halo.zeros()
        if grid.coords[0] == 0:  # outside the plate, so no exchange changes it
            old[0] = new[0] = 1
        if saved is not None:
            first = saved.state["step"]
            file = ctx.checkpoint.data_path(saved.state["slot"])
            old[halo.inside] = read_npy_block(grid, file)

        for step in range(first, options.steps):

            def save(file, step=step, block=old[halo.inside]):
                write_npy_block(file, grid, block)
                return {"step": step}

            checkpointer.maybe_save(step / options.steps, save)
            request = halo.start(old)
            update(new, old, halo.core)  # while the halo is on its way
            request.Wait()
            for part in halo.rim:
                update(new, old, part)
            old, new = new, old

        if options.output:
            write_npy_block(options.output, grid, old[halo.inside])
        hottest = ctx.world.comm.allreduce(old[halo.inside].max(initial=0), op=max)
    return Result({"hottest": float(hottest)})


PROGRAM = Program("heat", "Compute the temperatures of a plate.", Options, run)

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
