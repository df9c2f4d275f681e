"""Dealing out pieces of work: in turn, or to the rank that is free."""

from collections.abc import Iterator

from mpiapps.comm.mpi import MPI

SCHEDULES = ("static", "dynamic")


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
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule {schedule!r} is not one of {', '.join(SCHEDULES)}")
    if schedule == "static" or comm.size == 1:
        yield from range(comm.rank, n, comm.size)
        return
    from mpi4py.util.sync import Counter

    counter = Counter(comm=comm, typecode="q")
    while (piece := int(counter.next())) < n:
        yield piece
    counter.free()
