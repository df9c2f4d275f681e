"""Executors of the task engine on the ranks of the run."""

from __future__ import annotations

from collections.abc import Iterable

from mpiapps.app.context import RunContext
from mpiapps.tasks.engine import Results, Stop, collect, until
from mpiapps.tasks.mpi_pool import MPIPool
from mpiapps.tasks.task_set import Chunks, TaskSet
from mpiapps.tasks.teams import Teams, team_sizes
from mpiapps.tasks.work_sharing import distribute, distribute_until_stop


def counter(ctx: RunContext, tasks: TaskSet, chunks: Chunks, stop: Stop) -> Results:
    """Let a free rank take the next chunk. Collective.

    Cost: an 8-byte fetch-and-add a chunk, on a counter of rank 0, or of the host if
    there are several, and two barriers.
    """
    with distribute_until_stop(ctx.world, len(chunks)) as indices:
        yield from _run(ctx, tasks, chunks, indices, stop)


def static(ctx: RunContext, tasks: TaskSet, chunks: Chunks, stop: Stop) -> Results:
    """Give chunk i to rank ``i % size``: no messages. Collective."""
    indices = distribute(ctx.world, len(chunks), "static")
    yield from _run(ctx, tasks, chunks, indices, stop)


def manager(ctx: RunContext, tasks: TaskSet, chunks: Chunks, stop: Stop) -> Results:
    """Let rank 0 give out the tasks, and record the results of all. Collective.

    Tasks are pickled, once for each rank. Cost: as `mpiapps.tasks.mpi_pool.MPIPool`.
    """
    numbers = [number for chunk in chunks for number in chunk]
    with MPIPool(ctx.world.comm) as pool:
        if pool is None:
            return
        results = pool.imap_unordered(tasks.run_one, until(numbers, stop))
        yield from collect(ctx, tasks, numbers, results)


def teams(ctx: RunContext, tasks: TaskSet, chunks: Chunks, stop: Stop) -> Results:
    """Give each task `TaskSet.ranks` ranks, as their own communicator. Collective.

    Rank 0 is the manager, and does tasks only if it is alone. Tasks are pickled, once
    for each rank. Cost: as `mpiapps.tasks.teams.Teams`.
    """
    numbers = [number for chunk in chunks for number in chunk]
    sizes = [tasks.ranks(number) for number in numbers]
    sizes = team_sizes(ctx.world.comm, sizes, len(numbers))  # an error on all ranks
    with Teams(ctx.world.comm) as pool:
        if pool is None:
            return
        results = pool.imap_unordered(tasks.run_on, numbers, sizes, stop)
        ended = ((numbers[i], value) for i, value in results)
        yield from collect(ctx, tasks, numbers, ended)


def _run(
    ctx: RunContext,
    tasks: TaskSet,
    chunks: Chunks,
    indices: Iterable[int],
    stop: Stop,
) -> Results:
    """Run the chunks that this rank gets, and yield their results."""
    total = sum(map(tasks.cost, chunks)) / ctx.world.size
    with ctx.progress(max(1, total), tasks.unit, per_rank=True) as progress:
        for i in indices:
            if stop():
                break
            with ctx.world.timed(tasks.timer):
                results = list(tasks.run(chunks[i]))
            yield from zip(chunks[i], results, strict=True)
            progress.add(tasks.cost(chunks[i]))
