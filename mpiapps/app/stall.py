"""Ends a run that makes no progress."""

from __future__ import annotations

import sys
import threading
import time
import traceback

from mpiapps.base.errors import Stalled
from mpiapps.base.launch_environment import FLUSH_DELAY
from mpiapps.base.streams import write_err


class StallWatch:
    """Ends all ranks with 76 if this rank reports no progress for a time. Local.

    A thread of each rank watches: a rank that hangs in a call, as on a file system that
    is gone, cannot raise. It prints where the main thread is.

    Parameters
    ----------
    limit : float
        Seconds; 0 for no watch.
    rank : str
        The rank, for the message.
    """

    def __init__(self, limit: float, rank: str) -> None:
        self._limit, self._rank = limit, rank
        self._last = time.monotonic()
        self._closed = threading.Event()
        if limit:
            threading.Thread(target=self._watch, daemon=True, name="stall").start()

    def beat(self) -> None:
        """Note that there was progress."""
        self._last = time.monotonic()

    def close(self) -> None:
        """Stop watching."""
        self._closed.set()

    def _watch(self) -> None:
        while (wait := self._last + self._limit - time.monotonic()) > 0:
            if self._closed.wait(wait):
                return
        from mpiapps.launch.mpi import WORLD

        main = threading.main_thread().ident
        stack = traceback.format_stack(sys._current_frames().get(main or 0))
        write_err(
            f"mpiapps: error on {self._rank}: no progress for {self._limit:g} s"
            f" (--stall-limit); the main thread is at:\n{''.join(stack)}"
        )
        time.sleep(FLUSH_DELAY)
        WORLD.Abort(Stalled.exit_code)
