"""A communicator with this rank's place in it, timers, and agreement on errors."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from mpiapps.comm.consistency import Same, raise_together
from mpiapps.comm.timers import Timers, Timing, compare
from mpiapps.launch.forks import is_child
from mpiapps.launch.mpi import MPI
from mpiapps.launch.ulfm import force_exit


class World:
    """A duplicated communicator and this rank's place in it.

    Collective to create and to close. Programs get one from `open_world`; a test or a
    library may create one over any communicator.

    Attributes
    ----------
    comm : MPI.Intracomm
        A duplicate of the given communicator: use it for all messages.
    objects : pkl5.Intracomm
        The same ranks for pickled objects of any size (``mpi4py.util.pkl5``): plain
        lower-case calls fail above 2 GiB on Open MPI.
    rank, size, root : int
        This rank, the number of ranks, and the rank that prints (0).
    host : str
        Name of this rank's host.
    node : MPI.Intracomm
        The ranks of this host, which can share memory.
    local_rank, local_size : int
        Rank and size in `node`.
    """

    root = 0

    def __init__(self, comm: MPI.Intracomm | None = None) -> None:
        """Duplicate `comm` (default ``MPI.COMM_WORLD``). Collective."""
        self._callbacks: list[Callable[[], None]] = []
        self._set_comm((MPI.COMM_WORLD if comm is None else comm).Dup())
        self.timers = Timers()

    def _set_comm(self, comm: MPI.Intracomm) -> None:
        from mpi4py.util import pkl5  # starts MPI, so not at module level

        self.comm = comm
        self.objects = pkl5.Intracomm(self.comm)
        self.rank, self.size = self.comm.rank, self.comm.size
        self.host = socket.gethostname()
        split = self.comm.Split_type(MPI.COMM_TYPE_SHARED)
        self.node = cast(MPI.Intracomm, split)
        self.local_rank, self.local_size = self.node.rank, self.node.size

    def shrink(self) -> None:
        """Remove failed ranks. Collective over the others.

        Ranks keep their order, so the root stays the root. Objects built on the old
        communicators are invalid; rebuild them in an `on_shrink` callback.
        """
        self._set_comm(cast(MPI.Intracomm, self.comm.Shrink()))
        force_exit()
        for callback in self._callbacks:
            callback()

    def on_shrink(self, callback: Callable[[], None]) -> None:
        """Call `callback`, collectively, after each `shrink`. Local."""
        self._callbacks.append(callback)

    @property
    def is_root(self) -> bool:
        """Whether this rank is the root."""
        return self.rank == self.root

    def __str__(self) -> str:
        """Return rank, size and host, such as ``rank 1 of 4 on node7``."""
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
        """Raise an error of one rank in the ``with`` block on all ranks.

        Collective; see `mpiapps.comm.consistency.raise_together`.
        """
        return raise_together(self.comm)

    @contextmanager
    def local_root_first(self, needed: bool = True) -> Iterator[None]:
        """Run the ``with`` block on the first rank of each host, then on its others.

        Collective over the host's ranks: one broadcast, and a barrier if `needed`;
        otherwise all run it at the same time. The first rank's `needed` counts. For
        side effects that the others use, such as compiled code in a cache.
        """
        first = self.node.bcast(needed, root=0)
        if first and self.local_rank > 0:
            self.node.Barrier()
        try:
            yield
        finally:
            if first and self.local_rank == 0 and not is_child():
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
