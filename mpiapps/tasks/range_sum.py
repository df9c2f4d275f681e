"""Exact sums over a long range, by all ranks, which stop and resume."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpiapps.app.checkpoint import CheckpointContent
from mpiapps.app.context import RunContext
from mpiapps.comm.safepoint import CONTINUE, STOP, SafePoints
from mpiapps.launch.mpi import MPI
from mpiapps.tasks.task_counter import GlobalCounter
from mpiapps.tasks.work_sharing import (
    check_schedule,
    distribute,
    distribute_ranges,
    remaining,
)

MAX_CHUNK = 2**24  # units of a task, at most, unless the caller has another limit
CHUNKS_PER_RANK = 64  # so that shares are even and progress is seen


@dataclass(frozen=True)
class RangeSum:
    """A sum over a range.

    Attributes
    ----------
    total : ndarray of int64
        Over the whole range; the same on all ranks.
    own : ndarray of int64
        This rank's part of it, in this run.
    units : int
        Units that this rank did in this run.
    """

    total: np.ndarray
    own: np.ndarray
    units: int


def sum_range(  # noqa: PLR0913 - independent arguments
    ctx: RunContext,
    n: int,
    function: Callable[[range], Sequence[int]],
    *,
    width: int = 1,
    schedule: str = "static",
    unit: str = "units",
    max_chunk: int = MAX_CHUNK,
) -> RangeSum:
    """Return the sum of ``function(part)`` over parts that make up ``range(n)``.

    Collective. Parts are numbered tasks; sums of integers are exact, so the total has
    the same bits on any number of ranks, and after any stop. With a checkpoint the run
    saves at its interval, stops at the deadline or on SIGUSR1, and resumes.

    Parameters
    ----------
    ctx : RunContext
    n : int
        Units of work, the same on all ranks.
    function : callable
        Returns `width` integers for a part of the range.
    schedule : {"static", "dynamic"}
        As for `mpiapps.tasks.work_sharing.distribute`.
    unit : str
        The name of a unit, for progress.
    max_chunk : int
        Units of a task, at most. A resumed run has the tasks of the one that stopped.

    Raises
    ------
    Checkpointed
        On all ranks, after a save, if the run stops before the end.

    Notes
    -----
    Cost: one all-reduce of `width` integers, two at each save; a test of a request
    between tasks; with ``dynamic`` an 8-byte fetch-and-add a task.
    """
    world, saved = ctx.world, ctx.checkpoint.load()
    chunk = max(1, min(max_chunk, -(-n // (CHUNKS_PER_RANK * world.size))))
    before = np.zeros(width, np.int64)
    if saved is not None:
        chunk, before = saved.state["chunk"], np.array(saved.state["sum"], np.int64)
    own, units, tasks = np.zeros_like(before), 0, -(-n // chunk)

    def state() -> dict[str, Any]:
        return {"chunk": chunk, "sum": (before + _total(world.comm, own)).tolist()}

    share = n if saved is None else n * (1 - saved.progress)
    with (
        world.timed("kernel"),
        ctx.progress(share / world.size, unit, per_rank=True) as progress,
    ):
        for task in _resumable(ctx, tasks, schedule, saved, state, progress.finish):
            part = range(task * chunk, min((task + 1) * chunk, n))
            own += function(part)
            units += len(part)
            progress.add(len(part))
    with world.timed("gather"):
        return RangeSum(before + _total(world.comm, own), own, units)


def _total(comm: MPI.Intracomm, own: np.ndarray) -> np.ndarray:
    total = own.copy()
    comm.Allreduce(MPI.IN_PLACE, total, op=MPI.SUM)
    return total


def _resumable(  # noqa: PLR0913, PLR0917 - the local state of `sum_range`
    ctx: RunContext,
    n: int,
    schedule: str,
    saved: CheckpointContent | None,
    state: Callable[[], dict[str, Any]],
    idle: Callable[[], None],
) -> Iterator[int]:
    """Yield this rank's tasks of ``range(n)`` that are not done; save and stop between.

    Collective: all ranks run to the end, or all raise `Checkpointed`.

    Parameters
    ----------
    ctx : RunContext
    n : int
    schedule : {"static", "dynamic"}
    saved : CheckpointContent, optional
        What `Checkpoint.load` returned.
    state : callable
        Collective: returns on the root what to save besides the remaining tasks.
    idle : callable
        Called when this rank has no task left and waits for others.
    """
    comm, checkpoint = ctx.world.comm, ctx.checkpoint
    check_schedule(schedule)
    if not checkpoint.enabled:
        yield from distribute(ctx.world, n, schedule)
        return
    ranges = [range(n)] if saved is None else saved.remaining
    # `remaining` relies on the order in which one counter numbers the tasks.
    counter = GlobalCounter(comm, n) if schedule == "dynamic" else None
    tasks = distribute_ranges(comm, ranges, counter)
    points = SafePoints(comm, checkpoint.decision, lambda: ctx.deadline.stop_requested)
    world, done, exhausted, left = ctx.world, 0, False, 0
    while True:
        decision = points.wait() if exhausted else points.check()
        if decision != CONTINUE:
            counts = world.comm.gather(done, root=world.root)
            values = state()
            with world.agree():
                if counts is not None:
                    rest = remaining(ranges, counts, schedule)
                    left = sum(map(len, rest))
                    saved = CheckpointContent(values, rest, 1 - left / n if n else 1.0)
                    checkpoint.save(saved, stop=decision == STOP and left > 0)
            if decision == STOP:
                break
        # A task follows each save, or slow saves would be all that is done.
        if not exhausted and (task := next(tasks, None)) is not None:
            yield task
            done += 1
        elif exhausted and decision == CONTINUE:
            left = 0  # what remained at the last save has been done since
            break
        else:
            exhausted = True
            idle()
    points.close()
    if counter is not None:
        counter.free()
    left = world.comm.bcast(left, root=world.root)
    if left:
        raise checkpoint.stopped(1 - left / n)
