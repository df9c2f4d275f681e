"""Pausing together: all ranks agree on one point in their work, without a barrier.

The root decides: the deadline and the checkpoint interval are its to watch, so clocks
of two hosts are never compared. It tells the others by a broadcast that they have begun
before, and that costs them one test at each safe point. A rank that has been asked to
stop, by a signal, sends the root a word.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from mpiapps.comm.mpi import MPI

GO_ON, SAVE, STOP = 0, 1, 2
POLL = 0.001  # s between looks of a rank that has nothing left to do, asleep

_FINISHED, _PLEASE_STOP = 1, 2  # what a rank says to the root


class SafePoints:
    """The points in their work at which all ranks may pause. Collective to make.

    Parameters
    ----------
    comm : MPI.Intracomm
        The ranks; duplicated.
    decide : callable
        Called on the root, often: returns `GO_ON`, `SAVE` or `STOP`.
    asked : callable
        Called on the other ranks: whether this one has been asked to stop.

    Notes
    -----
    Cost: a broadcast of 8 bytes for each pause and one at the end, begun early; a
    message of 8 bytes from each rank to the root when it is finished, and one when it
    is asked to stop. At a safe point between pauses: one test.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        decide: Callable[[], int],
        asked: Callable[[], bool],
    ) -> None:
        """Duplicate `comm` and begin the first broadcast. Collective."""
        self._comm = comm.Dup()
        self._decide, self._asked = decide, asked
        self._is_root = comm.rank == 0
        self._said: set[int] = set()
        self._sent: list[tuple[MPI.Request, np.ndarray]] = []
        self._finished = self._received = 0
        self._told_to_stop = False
        self._word = np.zeros(1, dtype=np.int64)
        self._verdict = MPI.REQUEST_NULL
        self._listen()

    def check(self) -> int:
        """Return what to do at this point: `GO_ON`, `SAVE` or `STOP`. Local.

        After `SAVE` or `STOP` all ranks are at a safe point, and save together.
        """
        if self._is_root:
            self._hear()
            word = STOP if self._told_to_stop else self._decide()
            if word != GO_ON:
                self._tell(word)
            return word
        if self._asked():
            self._say(_PLEASE_STOP)
        return self._heard()

    def wait(self) -> int:
        """Wait, asleep, for ranks still at work; `GO_ON` means all have finished.

        Collective in the end; `SAVE` and `STOP` as from `check`, then wait again.
        """
        if self._is_root:
            while True:
                self._hear()
                if self._finished == self._comm.size - 1:
                    self._tell(GO_ON)
                    return GO_ON
                if (word := self.check()) != GO_ON:
                    return word
                time.sleep(POLL)
        self._say(_FINISHED)
        while not self._verdict.Test():
            if self._asked():
                self._say(_PLEASE_STOP)
            time.sleep(POLL)
        return self._heard()

    def close(self) -> None:
        """Take in what is still under way and free the communicator. Collective."""
        said = np.array([len(self._said)], dtype=np.int64)
        total = np.zeros(1, dtype=np.int64)
        self._comm.Reduce(said, total)
        if self._is_root:
            while self._received < int(total[0]):
                self._hear()
        for request, _ in self._sent:
            request.Wait()
        self._comm.Free()

    def _listen(self) -> None:
        """Begin the broadcast by which the root will tell its next word."""
        if not self._is_root:
            self._verdict = self._comm.Ibcast(self._word, root=0)

    def _heard(self) -> int:
        if not self._verdict.Test():
            return GO_ON
        word = int(self._word[0])
        if word == SAVE:
            self._listen()
        return word

    def _tell(self, word: int) -> None:
        self._word[0] = word
        self._comm.Ibcast(self._word, root=0).Wait()

    def _say(self, what: int) -> None:
        if what not in self._said:
            self._said.add(what)
            note = np.array([what], dtype=np.int64)
            self._sent.append((self._comm.Isend(note, dest=0), note))

    def _hear(self) -> None:
        note = np.zeros(1, dtype=np.int64)
        while (message := self._comm.Improbe()) is not None:
            message.Recv(note)
            self._received += 1
            self._finished += int(note[0] == _FINISHED)
            self._told_to_stop |= int(note[0]) == _PLEASE_STOP
