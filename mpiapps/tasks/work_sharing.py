"""Loop schedules over ranks, static and dynamic, as OpenMP has them over threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mpiapps.comm.ranks import Ranks, communicator

if TYPE_CHECKING:
    from mpi4py.util.sync import Counter

SCHEDULES = ("static", "dynamic")

Ranges = list[range]  # of task numbers, executed one range after the other


def distribute(comm: Ranks, n: int, schedule: str = "static") -> Iterator[int]:
    """Yield the tasks of ``range(n)`` that this rank executes. Collective.

    Each task is yielded on one rank; all ranks exhaust their iterators.

    Parameters
    ----------
    comm : MPI.Intracomm
    n : int
        Number of tasks, 0 or more, equal on all ranks.
    schedule : {"static", "dynamic"}
        ``static``: task i is executed by rank ``i % size``; no messages. ``dynamic``: a
        free rank takes the next task from a counter in the memory of rank 0 (mpi4py's
        `util.sync.Counter`), by an 8-byte fetch-and-add per task; no rank is reserved
        as a manager. For tasks of 1 ms or more.

    Raises
    ------
    ValueError
        If the schedule is neither.
    """
    comm = communicator(comm)
    yield from distribute_ranges(comm, [range(n)], schedule)


def distribute_ranges(
    comm: Ranks,
    ranges: Sequence[range],
    schedule: str = "static",
    counter: Counter | None = None,
) -> Iterator[int]:
    """Yield the tasks of `ranges` that this rank executes, range after range.

    Collective; `distribute` is the case of one range. Pass a `counter` if the ranks
    communicate otherwise before all have finished: the default one is freed at the end,
    where each rank waits for all.
    """
    comm = communicator(comm)
    check_schedule(schedule)
    if schedule == "static" or comm.size == 1:
        for tasks in ranges:
            yield from tasks[comm.rank :: comm.size]
        return
    shared_counter = counter or new_counter(comm)
    offset = 0  # tasks in the previous ranges
    index = int(shared_counter.next())
    for tasks in ranges:
        while index - offset < len(tasks):
            yield tasks[index - offset]
            index = int(shared_counter.next())
        offset += len(tasks)
    if counter is None:
        shared_counter.free()


@contextmanager
def distribute_until_stop(comm: Ranks, n: int) -> Iterator[Iterator[int]]:
    """Distribute ``range(n)`` dynamically, until one rank stops. Collective.

    All ranks enter the block together. When a rank leaves it early, the others get no
    further tasks. Cost: that of `distribute`, one fetch-and-add and two barriers.

    Examples
    --------
    >>> with distribute_until_stop(comm, len(fits)) as numbers:  # doctest: +SKIP
    ...     for number in numbers:
    ...         if deadline.remaining() <= 0:
    ...             break
    ...         fits[number]()
    """
    comm = communicator(comm)
    counter = new_counter(comm)
    comm.Barrier()
    yield distribute_ranges(comm, [range(n)], "dynamic", counter)
    counter.next(n)
    comm.Barrier()  # a rank that stopped may be rank 0, which has the counter
    counter.free()


def new_counter(comm: Ranks) -> Counter:
    """Return a counter from 0 in the memory of rank 0. Collective, as is its `free`."""
    comm = communicator(comm)
    from mpi4py.util.sync import Counter

    return Counter(comm=comm, typecode="q")


def check_schedule(schedule: str) -> None:
    """Raise `ValueError` if `schedule` is not one of `SCHEDULES`."""
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")


def remaining(ranges: Sequence[range], done: Sequence[int], schedule: str) -> Ranges:
    """Return the rest of `ranges` after rank r has done its first ``done[r]`` tasks.

    Each range that was started adds at most one range per rank, so the list stays short
    after many stops, on any numbers of ranks.

    Parameters
    ----------
    ranges : sequence of range
        The tasks that were distributed.
    done : sequence of int
        Number of completed tasks of each rank; none is in progress.
    schedule : {"static", "dynamic"}
        The schedule of the distribution.
    """
    if schedule == "dynamic" or len(done) == 1:
        return _drop_first(ranges, sum(done))
    rest: Ranges = []
    counts = list(done)
    for tasks in ranges:
        shares = [tasks[rank :: len(counts)] for rank in range(len(counts))]
        if not any(counts):
            rest.append(tasks)
            continue
        rest += [share[count:] for share, count in zip(shares, counts, strict=True)]
        counts = [
            max(0, count - len(share))
            for share, count in zip(shares, counts, strict=True)
        ]
    return [tasks for tasks in rest if tasks]


def _drop_first(ranges: Sequence[range], count: int) -> Ranges:
    """Return `ranges` without their first `count` tasks."""
    rest: Ranges = []
    for tasks in ranges:
        rest.append(tasks[count:])
        count = max(0, count - len(tasks))
    return [tasks for tasks in rest if tasks]
