"""Loop schedules over ranks, static and dynamic, as OpenMP has them over threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.tasks.task_counter import TaskCounter, task_counter

SCHEDULES = ("static", "dynamic")

Ranges = list[range]  # of task numbers, executed one range after the other


def distribute(comm: Ranks, n: int, schedule: str = "static") -> Iterator[int]:
    """Yield the tasks of ``range(n)`` that this rank executes. Collective.

    Each task is yielded on one rank; all ranks exhaust their iterators.

    Parameters
    ----------
    comm : MPI.Intracomm or World
    n : int
        Number of tasks, 0 or more, equal on all ranks.
    schedule : {"static", "dynamic"}
        ``static``: task i is executed by rank ``i % size``; no messages. ``dynamic``: a
        free rank takes the next task from a counter, by an 8-byte fetch-and-add per
        task; no rank is reserved as a manager. On several hosts, each has a counter
        (`mpiapps.tasks.task_counter`). For tasks of 1 ms or more.

    Raises
    ------
    ValueError
        If the schedule is neither.
    """
    check_schedule(schedule)
    if schedule == "static" or communicator(comm).size == 1:
        yield from distribute_ranges(comm, [range(n)])
        return
    with task_counter(comm, n) as counter:
        yield from distribute_ranges(comm, [range(n)], counter)


def distribute_ranges(
    comm: Ranks, ranges: Sequence[range], counter: TaskCounter | None = None
) -> Iterator[int]:
    """Yield the tasks of `ranges` that this rank executes, range after range.

    Collective; the schedule is static without a `counter`. `distribute` is the case of
    one range.
    """
    if counter is None:
        comm = communicator(comm)
        for tasks in ranges:
            yield from tasks[comm.rank :: comm.size]
        return
    offset = 0  # tasks in the previous ranges
    index = counter.next()
    for tasks in ranges:
        while index - offset < len(tasks):
            yield tasks[index - offset]
            index = counter.next()
        offset += len(tasks)


@contextmanager
def distribute_until_stop(comm: Ranks, n: int) -> Iterator[Iterator[int]]:
    """Distribute ``range(n)`` dynamically, until one rank stops. Collective.

    All ranks enter the block together. When a rank leaves it early, the others get no
    further tasks but those that another host has taken, at most one for each of its
    ranks. Cost: that of `distribute`, one fetch-and-add and two barriers.

    Examples
    --------
    >>> with distribute_until_stop(comm, len(fits)) as numbers:  # doctest: +SKIP
    ...     for number in numbers:
    ...         if deadline.remaining() <= 0:
    ...             break
    ...         fits[number]()
    """
    with task_counter(comm, n) as counter:
        communicator(comm).Barrier()
        yield distribute_ranges(comm, [range(n)], counter)
        counter.stop()
        communicator(comm).Barrier()  # a rank that stopped may have the counter


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
