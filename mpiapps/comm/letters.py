"""Pickled messages of any size between two ranks, received by whoever asks first."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mpiapps.comm.cut import pieces
from mpiapps.comm.mpi import MPI
from mpiapps.comm.survive import RanksLost, is_loss, lost

SMALL = 2**20  # bytes; a larger one follows its announcement
FIRST, LONGEST = 20e-6, 1e-3  # s of sleep between looks
EAGER = 1e-3  # s of looks without sleep: two busy ranks never find each other asleep


class Letters:
    """Letters of this rank on one communicator. Local to make.

    Parameters
    ----------
    comm : MPI.Intracomm
        Used for nothing else.
    tag : int
        Of the letters; the next number is used for large ones, too.
    """

    def __init__(self, comm: MPI.Intracomm, tag: int) -> None:
        self._comm, self._tag = comm, tag
        self._out: list[tuple[MPI.Request, Any]] = []
        self._status = MPI.Status()
        self._lost: set[int] = set()

    def send(self, to: int, content: Any) -> None:
        """Send, without waiting for the other. Local; raises as `pickle.dumps`."""
        self.post(to, pickle.dumps(content, protocol=5))

    def post(self, to: int, data: bytes) -> None:
        """Send what was pickled already. Local.

        To a rank that was killed, if the run survives that, nothing is sent: who looks
        for letters is told of it.
        """
        try:
            self._post(to, data)
        except MPI.Exception as error:
            if not is_loss(error):
                raise

    def _post(self, to: int, data: bytes) -> None:
        if len(self._out) > 64:
            self._out = [each for each in self._out if not _through(each[0])]
        if len(data) > SMALL:
            whole = np.frombuffer(data, np.uint8)
            self._post(to, pickle.dumps(_Announced(len(data))))
            for piece in pieces(whole):
                request = self._comm.Isend(piece, dest=to, tag=self._tag + 1)
                self._out.append((request, piece))
            return
        request = self._comm.Isend([data, MPI.BYTE], dest=to, tag=self._tag)
        self._out.append((request, data))

    def look(self, source: int = MPI.ANY_SOURCE) -> tuple[int, Any] | None:
        """Return sender and content of a letter that is here, or `None`. Local.

        Raises
        ------
        RanksLost
            If ranks were killed, and the run survives that; once for each.
        """
        try:
            return self._look(source)
        except MPI.Exception as error:
            if not is_loss(error):
                raise
            if new := lost(self._comm, self._lost):
                raise RanksLost(new) from error
            return None

    def _look(self, source: int) -> tuple[int, Any] | None:
        found = self._comm.Improbe(source, self._tag, self._status)
        if found is None:
            return None
        sender = self._status.source
        data = bytearray(self._status.Get_count(MPI.BYTE))
        found.Recv([data, MPI.BYTE])
        content = pickle.loads(data)
        if isinstance(content, _Announced):
            whole = np.empty(content.size, np.uint8)
            for piece in pieces(whole):
                self._comm.Recv(piece, source=sender, tag=self._tag + 1)
            content = pickle.loads(whole.data)
        return sender, content

    def wait(
        self,
        source: int = MPI.ANY_SOURCE,
        meanwhile: Callable[[], object] | None = None,
        longest: float = LONGEST,
    ) -> tuple[int, Any]:
        """Return the next letter; asleep while there is none for long. Local.

        `meanwhile` is called between looks once it sleeps, up to `longest` s.
        """
        until = time.perf_counter() + EAGER
        while time.perf_counter() < until:
            if (found := self.look(source)) is not None:
                return found
            os.sched_yield()  # to the other one, if it shares this processor
        pause = FIRST
        while (found := self.look(source)) is None:
            if meanwhile is not None:
                meanwhile()
            time.sleep(pause)
            pause = min(2 * pause, longest)
        return found

    def close(self) -> None:
        """Wait until all that was sent has been taken, or nobody is there. Local."""
        while not all(_through(request) for request, _ in self._out):
            time.sleep(FIRST)
        self._out = []


def _through(request: MPI.Request) -> bool:
    """Return whether a letter was taken, or its receiver was killed."""
    try:
        return bool(request.Test())
    except MPI.Exception as error:
        if is_loss(error):
            return True
        raise


class _Announced:
    """Says that a large letter follows, of so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
