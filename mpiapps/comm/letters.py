"""Pickled messages of any size between two ranks, received by whoever asks first."""

from __future__ import annotations

import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mpiapps.comm.cut import pieces
from mpiapps.comm.mpi import MPI
from mpiapps.comm.packing import Packed, pack
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
        self._out: deque[tuple[MPI.Request, Any]] = deque()
        self._status = MPI.Status()
        self._lost: set[int] = set()

    def send(self, to: int, content: Any) -> bool:
        """Send, without waiting for the other. Local; raises as `pickle.dumps`.

        Returns whether the letter is large: it may move only while this rank calls
        MPI, so one that will not for long calls `close`. Arrays in one piece are not
        copied: they must not change before that. To a rank that was killed, if the run
        survives that, nothing is sent: `look` raises for it.
        """
        packed = pack(content)
        try:
            while self._out and _through(self._out[0][0]):
                self._out.popleft()
            return self._post(to, packed)
        except MPI.Exception as error:
            if not is_loss(error):
                raise
            return False

    def _post(self, to: int, packed: Packed) -> bool:
        if not packed.buffers and len(packed.data) <= SMALL:
            self._isend(to, self._tag, packed.data)
            return False
        parts = [as_array(packed.data), *packed.buffers]
        sizes = [part.nbytes for part in parts]
        self._isend(to, self._tag, pickle.dumps(_Announced(sizes)))
        for part in parts:
            for piece in pieces(part):
                self._isend(to, self._tag + 1, piece)
        return True

    def _isend(self, to: int, tag: int, data: Any) -> None:
        request = self._comm.Isend([data, MPI.BYTE], dest=to, tag=tag)
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
            parts = [np.empty(size, np.uint8) for size in content.sizes]
            for part in parts:
                for piece in pieces(part):
                    self._comm.Recv(piece, source=sender, tag=self._tag + 1)
            content = pickle.loads(parts[0].data, buffers=parts[1:])
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
        for sleeps in pauses(longest):
            if (letter := self.look(source)) is not None:
                return letter
            if sleeps and meanwhile is not None:
                meanwhile()
        raise AssertionError("pauses have no end")

    def close(self) -> None:
        """Wait until all that was sent has been taken, or nobody is there. Local."""
        while self._out:
            if _through(self._out[0][0]):
                self._out.popleft()
            else:
                time.sleep(FIRST)


def _through(request: MPI.Request) -> bool:
    """Return whether a letter was taken, or its receiver was killed."""
    try:
        return bool(request.Test())
    except MPI.Exception as error:
        if is_loss(error):
            return True
        raise


def pauses(longest: float = LONGEST) -> Iterator[bool]:
    """Pause between looks, longer each time; yield whether this one sleeps. Local."""
    until = time.perf_counter() + EAGER
    while time.perf_counter() < until:
        yield False
        os.sched_yield()  # to the other one, if it shares this processor
    pause = FIRST
    while True:
        yield True
        time.sleep(pause)
        pause = min(2 * pause, longest)


def as_array(data: Any) -> npt.NDArray[np.uint8]:
    """Return bytes as an array, without a copy. Local."""
    return np.frombuffer(data, np.uint8)


class _Announced:
    """Announces a large letter, in parts of so many bytes."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
