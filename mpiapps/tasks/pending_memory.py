"""How many tasks of one call are sent before their results are requested."""

from __future__ import annotations

from sys import getsizeof

from mpiapps.comm.pickling import Pickled
from mpiapps.tasks.payload import Payload, Report

MAX_PENDING_CHUNKS = 64  # per worker
MAX_PENDING_BYTES = 2**28  # of items and results, beyond one chunk per worker
DECAY = 1 / 8  # weight of a smaller size in the estimate; a larger one counts at once


class PendingMemory:
    """Limits the tasks that are pending at the root, by number and by bytes.

    Parameters
    ----------
    least : int
        Tasks that may be pending whatever their size: one chunk per worker.
    most : int
        Tasks that may be pending if they are small.

    Notes
    -----
    The size of a result is not known before it arrives, so that of the previous ones
    counts. Until the first one has arrived, only `least` tasks are sent. If tasks grow
    abruptly, up to `most` of them have been sent before.
    """

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = min(least, most), most
        self._item_bytes, self._result_bytes = 0.0, float("inf")

    def add_items(self, n: int, nbytes: int) -> None:
        """Note the bytes of the items of `n` tasks. Any thread."""
        self._item_bytes = _estimate(self._item_bytes, nbytes / n)

    def add_results(self, n: int, nbytes: int) -> None:
        """Note the bytes of the results of `n` tasks. Any thread."""
        old = self._result_bytes
        self._result_bytes = _estimate(0.0 if old == float("inf") else old, nbytes / n)

    def allows(self, pending: int) -> bool:
        """Return whether to send another chunk while `pending` tasks are pending."""
        nbytes = self._item_bytes + self._result_bytes
        return pending < self._least or (
            pending < self._most and (pending + 1) * nbytes <= MAX_PENDING_BYTES
        )


def _estimate(old: float, new: float) -> float:
    return max(new, old + DECAY * (new - old))


def payload_bytes(payload: Payload) -> int:
    """Return the bytes of a chunk's items, as they are sent."""
    if isinstance(payload, Pickled):
        return payload.nbytes
    return sum(map(getsizeof, payload))


def report_bytes(report: Report) -> int:
    """Return the bytes of a chunk's outcomes, as they are sent."""
    plain, values = report
    if plain:
        return payload_bytes(values)
    return sum(value.pickled.nbytes for value in values if value.pickled is not None)
