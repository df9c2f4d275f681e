"""The ranks that work on one thing, seen from one of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from mpiapps.base.forks import is_child
from mpiapps.comm.agree import Same, agree
from mpiapps.comm.mpi import MPI
from mpiapps.comm.survive import leave_anyway
from mpiapps.comm.timers import Timers, Timing, compare


class World:
    """A communicator of its own, and what this rank knows of its place in it.

    Collective to make and to close. Programs get theirs from `open_world`; a test or
    a library may make one over any communicator.

    Attributes
    ----------
    comm : MPI.Intracomm
        A duplicate of the communicator given: use it for all messages.
    objects : pkl5.Intracomm
        The same ranks for pickled objects of any size (``mpi4py.util.pkl5``): plain
        lower-case calls fail above 2 GiB on Open MPI.
    rank, size, root : int
        This rank, the number of ranks, and the rank that speaks (0).
    host : str
        Name of the host this rank runs on.
    node : MPI.Intracomm
        The ranks of this host, those that can share memory.
    local_rank, local_size : int
        Rank and size in `node`.
    """

    root = 0

    def __init__(self, comm: MPI.Intracomm | None = None) -> None:
        """Duplicate `comm` (default ``MPI.COMM_WORLD``). Collective."""
        self._after: list[Callable[[], None]] = []
        self._take((MPI.COMM_WORLD if comm is None else comm).Dup())
        self.timers = Timers()

    def _take(self, comm: MPI.Intracomm) -> None:
        from mpi4py.util import pkl5  # which would start MPI, were it not started

        self.comm = comm
        self.objects = pkl5.Intracomm(self.comm)
        self.rank, self.size = self.comm.rank, self.comm.size
        self.host = socket.gethostname()
        split = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.node = cast(MPI.Intracomm, split)
        self.local_rank, self.local_size = self.node.rank, self.node.size

    def shrink(self) -> None:
        """Go on with the ranks that were not killed. Collective over those.

        Ranks keep their order, so the root stays the root. What was made from the old
        communicators is of no use any more; `on_shrink` tells who must make it anew.
        """
        self._take(cast(MPI.Intracomm, self.comm.Shrink()))
        leave_anyway()
        for made in self._after:
            made()

    def on_shrink(self, made: Callable[[], None]) -> None:
        """Call `made`, collectively, when the world has shrunk. Local."""
        self._after.append(made)

    @property
    def is_root(self) -> bool:
        """Whether this rank is the root."""
        return self.rank == self.root

    def __str__(self) -> str:
        """Return this rank's place, such as ``rank 1 of 4 on node7``."""
        return f"rank {self.rank} of {self.size} on {self.host}"

    def timed(self, name: str) -> AbstractContextManager[None]:
        """Add the time of the ``with`` block to this rank's timer `name`. Local."""
        return self.timers.timed(name)

    def timings(self) -> dict[str, Timing] | None:
        """Return max, mean and imbalance of every timer on the root, `None` elsewhere.

        Collective: one gather of a small dict, O(size) at the root.
        """
        ranks = self.comm.gather(self.timers.seconds, root=self.root)
        return None if ranks is None else compare(ranks)

    def agree(self) -> AbstractContextManager[Same]:
        """Make an error on one rank in the ``with`` block an error on all ranks.

        Collective; see `mpiapps.comm.agree.agree`.
        """
        return agree(self.comm)

    @contextmanager
    def local_root_first(self, needed: bool = True) -> Iterator[None]:
        """Run the ``with`` block on the first rank of each host, then on its others.

        Collective over the host's ranks: one broadcast, and a barrier if `needed`; if
        not, all run it at once. The first rank's word on it counts. For what the first
        rank leaves behind for the others, such as compiled code in a cache.
        """
        in_turn = self.node.bcast(needed, root=0)
        if in_turn and self.local_rank > 0:
            self.node.Barrier()
        try:
            yield
        finally:
            if in_turn and self.local_rank == 0 and not is_child():
                self.node.Barrier()

    def close(self) -> None:
        """Free the communicators. Collective."""
        self.node.Free()
        self.comm.Free()

    def __enter__(self) -> World:
        """Return itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Free the communicators. Collective."""
        if not is_child():
            self.close()
