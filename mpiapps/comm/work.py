"""Dealing pieces of work to ranks: in turn, or to whoever is free; and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mpiapps.comm.mpi import MPI

if TYPE_CHECKING:
    from mpi4py.util.sync import Counter

SCHEDULES = ("static", "dynamic")

# What is left to do: ranges of piece numbers, done one after the other.
Lanes = list[range]


def deal(comm: MPI.Intracomm, n: int, schedule: str = "static") -> Iterator[int]:
    """Yield the pieces of ``range(n)`` that are this rank's to do.

    Collective: all ranks run through their pieces to the end; each goes to one rank.

    Parameters
    ----------
    comm : MPI.Intracomm
        The ranks that share the work.
    n : int
        Number of pieces, 0 or more, the same on all ranks.
    schedule : {"static", "dynamic"}
        ``static``: piece i goes to rank ``i % size``; no messages. ``dynamic``: a free
        rank takes the next piece from a counter that lies on rank 0 (mpi4py's
        `util.sync.Counter`): one 8-byte fetch-and-add a piece, and no rank is lost to
        a manager. It suits pieces of 1 ms and more.

    Raises
    ------
    ValueError
        If the schedule is neither.
    """
    yield from deal_lanes(comm, [range(n)], schedule)


def deal_lanes(
    comm: MPI.Intracomm,
    lanes: Sequence[range],
    schedule: str = "static",
    counter: Counter | None = None,
) -> Iterator[int]:
    """Yield the pieces of `lanes` that are this rank's to do, lane after lane.

    Collective; as `deal`, which is one lane. Ranks that meet for something else before
    all are at the end give a `counter` of their own: the one made here is freed at the
    end, where each rank waits for all.
    """
    check_schedule(schedule)
    if schedule == "static" or comm.size == 1:
        for lane in lanes:
            yield from lane[comm.rank :: comm.size]
        return
    own = counter or new_counter(comm)
    begun = 0  # pieces in the lanes before this one
    taken = int(own.next())
    for lane in lanes:
        while taken - begun < len(lane):
            yield lane[taken - begun]
            taken = int(own.next())
        begun += len(lane)
    if counter is None:
        own.free()


@contextmanager
def dealing(comm: MPI.Intracomm, n: int) -> Iterator[Iterator[int]]:
    """Deal ``range(n)`` to whoever is free, until one rank stops. Collective.

    The block begins on all ranks together. A rank that leaves it before there are no
    more pieces ends the dealing for all: it takes what is left. Cost: as `deal`, one
    fetch-and-add and two barriers.

    Examples
    --------
    >>> with dealing(comm, len(fits)) as mine:  # doctest: +SKIP
    ...     for i in mine:
    ...         if stopping.left() <= 0:
    ...             break
    ...         fits[i]()
    """
    counter = new_counter(comm)
    comm.Barrier()
    yield deal_lanes(comm, [range(n)], "dynamic", counter)
    counter.next(n)
    comm.Barrier()  # whoever stopped may hold the counter's memory
    counter.free()


def new_counter(comm: MPI.Intracomm) -> Counter:
    """Return a counter from 0 that lies on rank 0. Collective, as is its `free`."""
    from mpi4py.util.sync import Counter

    return Counter(comm=comm, typecode="q")


def check_schedule(schedule: str) -> None:
    """Raise `ValueError` if `schedule` is not one of `SCHEDULES`. Local."""
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")


def left(lanes: Sequence[range], done: Sequence[int], schedule: str) -> Lanes:
    """Return what is left of `lanes` when rank r has done its first ``done[r]`` pieces.

    Local. With one lane more for each rank, at most, for each lane that was begun: a
    run that stops and goes on many times, on any number of ranks, keeps a short list.

    Parameters
    ----------
    lanes : sequence of range
        What there was to do when the work was dealt.
    done : sequence of int
        Pieces that each rank has done, all of which it has ended.
    schedule : {"static", "dynamic"}
        How it was dealt.
    """
    if schedule == "dynamic" or len(done) == 1:
        return _after(lanes, sum(done))
    rest: Lanes = []
    counts = list(done)
    for lane in lanes:
        shares = [lane[rank :: len(counts)] for rank in range(len(counts))]
        if not any(counts):
            rest.append(lane)
            continue
        rest += [share[count:] for share, count in zip(shares, counts, strict=True)]
        counts = [
            max(0, count - len(share))
            for share, count in zip(shares, counts, strict=True)
        ]
    return [lane for lane in rest if lane]


def _after(lanes: Sequence[range], count: int) -> Lanes:
    """Return `lanes` without their first `count` pieces."""
    rest: Lanes = []
    for lane in lanes:
        rest.append(lane[count:])
        count = max(0, count - len(lane))
    return [lane for lane in rest if lane]
