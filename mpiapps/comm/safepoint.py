"""Safe points: all ranks checkpoint or stop together, without a barrier in their loop.

The root decides by the deadline and the checkpoint interval, so clocks of different
hosts are never compared. It notifies the others by a broadcast that they have started
in advance, which costs them one test per safe point. A rank that received a stop signal
sends the root a message.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.mpi import MPI

CONTINUE, CHECKPOINT, STOP = 0, 1, 2
POLL_SECONDS = 0.001  # between polls of a rank that has finished

_RANK_FINISHED, _STOP_REQUESTED = 1, 2  # messages to the root


class SafePoints:
    """Points at which all ranks may checkpoint or stop. Collective to create.

    Parameters
    ----------
    comm : MPI.Intracomm
        The ranks; duplicated.
    decide : callable
        Called on the root at each safe point; returns `CONTINUE`, `CHECKPOINT` or
        `STOP`.
    stop_requested : callable
        Called on the other ranks; returns whether this rank shall stop.

    Notes
    -----
    Cost: a nonblocking broadcast of 8 bytes per checkpoint and one at the end; a
    message of 8 bytes from each rank to the root when it has finished, and one when it
    shall stop. At other safe points: one test.
    """

    def __init__(
        self,
        comm: Ranks,
        decide: Callable[[], int],
        stop_requested: Callable[[], bool],
    ) -> None:
        """Duplicate `comm` and start the first broadcast. Collective."""
        comm = communicator(comm)
        self._comm = comm.Dup()
        self._decide, self._stop_requested = decide, stop_requested
        self._is_root = comm.rank == 0
        self._notified: set[int] = set()  # messages sent to the root
        self._sends: list[tuple[MPI.Request, np.ndarray]] = []
        self._finished = self._received = 0
        self._rank_stops = False  # a rank has requested a stop
        self._decision = np.zeros(1, dtype=np.int64)
        self._bcast = MPI.REQUEST_NULL
        self._post_bcast()

    def check(self) -> int:
        """Return the decision at this point: `CONTINUE`, `CHECKPOINT` or `STOP`. Local.

        After `CHECKPOINT` or `STOP` all ranks are at a safe point, and save together.
        """
        if self._is_root:
            self._drain()
            decision = STOP if self._rank_stops else self._decide()
            if decision != CONTINUE:
                self._broadcast(decision)
            return decision
        if self._stop_requested():
            self._notify_root(_STOP_REQUESTED)
        return self._received_decision()

    def wait(self) -> int:
        """Wait, asleep, for the other ranks; return `CONTINUE` once all have finished.

        Collective; after `CHECKPOINT` or `STOP`, as of `check`, call it again.
        """
        if self._is_root:
            while True:
                self._drain()
                if self._finished == self._comm.size - 1:
                    self._broadcast(CONTINUE)
                    return CONTINUE
                if (decision := self.check()) != CONTINUE:
                    return decision
                time.sleep(POLL_SECONDS)
        self._notify_root(_RANK_FINISHED)
        while not self._bcast.Test():
            if self._stop_requested():
                self._notify_root(_STOP_REQUESTED)
            time.sleep(POLL_SECONDS)
        return self._received_decision()

    def close(self) -> None:
        """Complete pending messages and free the communicator. Collective."""
        sent = np.array([len(self._notified)], dtype=np.int64)
        total = np.zeros(1, dtype=np.int64)
        self._comm.Reduce(sent, total)
        if self._is_root:
            while self._received < int(total[0]):
                self._drain()
        for request, _ in self._sends:
            request.Wait()
        self._comm.Free()

    def _post_bcast(self) -> None:
        """Start the broadcast of the root's next decision."""
        if not self._is_root:
            self._bcast = self._comm.Ibcast(self._decision, root=0)

    def _received_decision(self) -> int:
        if not self._bcast.Test():
            return CONTINUE
        decision = int(self._decision[0])
        if decision == CHECKPOINT:
            self._post_bcast()
        return decision

    def _broadcast(self, decision: int) -> None:
        self._decision[0] = decision
        self._comm.Ibcast(self._decision, root=0).Wait()

    def _notify_root(self, kind: int) -> None:
        if kind not in self._notified:
            self._notified.add(kind)
            buffer = np.array([kind], dtype=np.int64)
            self._sends.append((self._comm.Isend(buffer, dest=0), buffer))

    def _drain(self) -> None:
        """Receive the messages to the root."""
        kind = np.zeros(1, dtype=np.int64)
        while (message := self._comm.Improbe()) is not None:
            message.Recv(kind)
            self._received += 1
            self._finished += int(kind[0] == _RANK_FINISHED)
            self._rank_stops |= int(kind[0]) == _STOP_REQUESTED
