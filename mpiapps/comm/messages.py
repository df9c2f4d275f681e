"""Pickled point-to-point messages of any size."""

from __future__ import annotations

import os
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from mpiapps.comm.chunking import iter_chunks
from mpiapps.comm.huge_pages import NEW_MEMORY
from mpiapps.comm.pickling import Pickled, pack, unpickle
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.comm.string_memory import new_string, string_kind
from mpiapps.launch.mpi import MPI
from mpiapps.launch.ulfm import ProcFailedError, is_proc_failure, newly_failed

MAX_INLINE_BYTES = 2**20  # a larger message follows a header
MIN_SLEEP, MAX_SLEEP = 20e-6, 1e-3  # s between polls
SLEEP_GROWTH = 1.25  # each sleep is at most a quarter of the time slept before
IDLE_SLEEP = 0.01  # of the time waited: a sleep that may exceed a lower maximum
SPIN_SECONDS = 1e-3  # s of polls without sleep, so that busy ranks add no latency


class MessageChannel:
    """Messages of this rank on one communicator. Local to create.

    Parameters
    ----------
    comm : MPI.Intracomm
        Used for nothing else.
    tag : int
        Tag of the messages; large ones use the next tag too.
    """

    def __init__(self, comm: Ranks, tag: int) -> None:
        comm = communicator(comm)
        self._comm, self._tag = comm, tag
        self._out: deque[tuple[MPI.Request, Any]] = deque()
        self._status = MPI.Status()
        self._lost: set[int] = set()

    def isend(self, to: int, content: Any) -> bool:
        """Send without waiting for the receiver. Local; raises as `pickle.dumps`.

        Returns whether the message is large: it may progress only while this rank
        calls MPI, so call `close` before a long computation. Contiguous arrays are not
        copied, and must not change until then. With ULFM, sending to a failed rank is a
        no-op; `poll` reports the failure.
        """
        packed = pack(content)
        self.release()
        try:
            return self._post(to, packed)
        except MPI.Exception as error:
            if not is_proc_failure(error):
                raise
            return False

    def _post(self, to: int, packed: Pickled) -> bool:
        if not packed.buffers and len(packed.data) <= MAX_INLINE_BYTES:
            self._isend(to, self._tag, packed.data)
            return False
        parts = [np.frombuffer(packed.data, np.uint8), *packed.buffers]
        sizes = [part.nbytes for part in parts]
        kinds = [string_kind(part) for part in parts]
        self._isend(to, self._tag, pickle.dumps(_LargeMessageHeader(sizes, kinds)))
        for part in parts:
            for chunk in iter_chunks(part):
                self._isend(to, self._tag + 1, chunk, part)
        return True

    def _isend(self, to: int, tag: int, data: Any, owner: Any = None) -> None:
        request = self._comm.Isend([data, MPI.BYTE], dest=to, tag=tag)
        self._out.append((request, (data, owner)))

    def poll(self, source: int = MPI.ANY_SOURCE) -> tuple[int, Any] | None:
        """Return source and content of a received message, or `None`. Local.

        Raises
        ------
        ProcFailedError
            If ranks failed, with ULFM; once per rank.
        """
        try:
            return self._poll(source)
        except MPI.Exception as error:
            if not is_proc_failure(error):
                raise
            if new := newly_failed(self._comm, self._lost):
                raise ProcFailedError(new) from error
            return None

    def _poll(self, source: int) -> tuple[int, Any] | None:
        message = self._comm.Improbe(source, self._tag, self._status)
        if message is None:
            return None
        sender = self._status.source
        data = bytearray(self._status.Get_count(MPI.BYTE))
        message.Recv([data, MPI.BYTE])
        content = unpickle(data)
        if isinstance(content, _LargeMessageHeader):
            parts = [
                np.empty(size, np.uint8) if kind is None else new_string(kind, size)
                for size, kind in zip(content.sizes, content.kinds, strict=True)
            ]
            for part in parts:
                NEW_MEMORY.touch(part)
                for chunk in iter_chunks(part):
                    self._comm.Recv(chunk, source=sender, tag=self._tag + 1)
            content = unpickle(parts[0].data, parts[1:])
        return sender, content

    def recv(
        self,
        source: int = MPI.ANY_SOURCE,
        on_idle: Callable[[], object] | None = None,
        max_sleep: float = MAX_SLEEP,
    ) -> tuple[int, Any]:
        """Return source and content of the next message, polling with backoff. Local.

        The interval between polls grows to `max_sleep` s, and from a lower one with the
        time waited to `MAX_SLEEP`; `on_idle` is called at each.
        """
        for sleeps in backoff(max_sleep):
            if (message := self.poll(source)) is not None:
                return message
            if sleeps and on_idle is not None:
                on_idle()
        raise AssertionError("backoff does not end")

    def release(self) -> None:
        """Release the memory of sent messages that have been received. Local."""
        while self._out and _is_complete(self._out[0][0]):
            self._out.popleft()

    def close(self) -> None:
        """Wait until all sent messages are received or their receiver failed. Local."""
        while self._out:
            self.release()
            if self._out:
                time.sleep(MIN_SLEEP)


def _is_complete(request: MPI.Request) -> bool:
    """Return whether a message was received, or its receiver failed."""
    try:
        return bool(request.Test())
    except MPI.Exception as error:
        if is_proc_failure(error):
            return True
        raise


def backoff(max_sleep: float = MAX_SLEEP) -> Iterator[bool]:
    """Wait between polls, exponentially longer; yield whether it sleeps. Local."""
    start = time.perf_counter()
    while time.perf_counter() < start + SPIN_SECONDS:
        yield False
        os.sched_yield()  # to a rank that shares this CPU
    sleep = MIN_SLEEP
    while True:
        yield True
        time.sleep(sleep)
        waited = time.perf_counter() - start
        longest = max(max_sleep, min(IDLE_SLEEP * waited, MAX_SLEEP))
        sleep = min(SLEEP_GROWTH * sleep, longest)


class _LargeMessageHeader(NamedTuple):
    """Precedes a large message: the bytes of its parts, and which are strings."""

    sizes: list[int]
    kinds: list[type[str | bytes] | None]
