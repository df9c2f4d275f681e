"""How many tasks of one call are sent together, and before results are requested."""

from __future__ import annotations

from math import inf
from sys import getsizeof
from typing import Any

from mpiapps.comm.pickling import OUT_OF_BAND_BYTES, PLAIN_TYPES, Pickled
from mpiapps.tasks.payload import Payload, Report

MAX_PENDING_CHUNKS = 64  # per worker
MAX_PENDING_BYTES = 2**28  # of items and results, beyond one chunk per worker
MESSAGE_BYTES = 2**20  # of values sent together, unless it is one, or they share more
MAX_EXCESS = 4  # times `MESSAGE_BYTES` that a message may have, if its items grow
DECAY = 1 / 8  # weight of a smaller size in the estimate; a larger one counts at once


class SizeEstimate:
    """The size of a call's next item or result, judged by that of the previous ones.

    Parameters
    ----------
    may_share : bool
        Whether values may share an object, such as an argument that all items have,
        which is in each message only once. To see that, a pair is compared with one of
        its values. A first value below 64 KiB, and a pair that shares more than one
        value's own bytes, are pickled again with the next ones. A larger first value
        is sent, so it is not in the pair; if that is then below 1.5 values, it is
        compared with its own first value, which is pickled again for that.

    Attributes
    ----------
    nbytes : float
        Of a message, divided by its values. Infinite until `add` is called.
    """

    def __init__(self, *, may_share: bool = False) -> None:
        self.nbytes = inf
        self._own = inf  # bytes of a value, without what is shared
        self._shared: float | None = None if may_share else 0  # None: not known
        self._is_sent = False  # the first value, which the next pair then lacks
        self._pair: int | None = None  # bytes of a pair whose first value comes next

    def set(self, nbytes: int) -> None:
        """Set the size of a value, of which nothing is shared."""
        self.nbytes, self._own, self._shared = nbytes, nbytes, 0

    def add(self, n: int, nbytes: int, *, last: bool = False) -> bool:
        """Note that `n` values have `nbytes`; return whether to send them together."""
        self.nbytes = _estimate(self.nbytes, nbytes / n)
        if self._shared is None:
            add_first = self._add_one if n == 1 else self._add_pair
            return add_first(nbytes, last)
        self._shared = min(self._shared, nbytes)
        own = nbytes - self._shared
        self._own = _estimate(self._own, own / n)
        return n == 1 or own <= MAX_EXCESS * self._message_bytes()

    def _add_one(self, nbytes: int, last: bool) -> bool:
        """As `add`, for the first value, or the first one of a pair."""
        if self._pair is not None:
            self._compare(nbytes, self._pair)
            return True
        self._own = nbytes
        self._is_sent = last or nbytes >= OUT_OF_BAND_BYTES
        return self._is_sent

    def _add_pair(self, nbytes: int, last: bool) -> bool:
        """As `add`, for the first pair, which may lack the first value."""
        if not self._is_sent:
            self._compare(int(self._own), nbytes)
        elif nbytes >= 1.5 * self._own:
            self._own, self._shared = nbytes / 2, 0
        else:
            self._pair = nbytes
            return False
        is_message = 2 * self._own <= MAX_EXCESS * self._message_bytes()
        return is_message and (last or (self._shared or 0) <= self._own)

    def _compare(self, one: int, pair: int) -> None:
        """Note what two values share, given the bytes of one of them and of both."""
        self._own = max(0, pair - one)
        self._shared = min(pair, max(0, one - self._own))

    def per_message(self) -> int:
        """Return how many values to send together."""
        if self._shared is None:
            return 1 if self._own == inf or self._pair is not None else 2
        return max(1, int(self._message_bytes() / max(1.0, self._own)))

    def _message_bytes(self) -> float:
        """Return the bytes of a message without what is shared, which is sent again."""
        return max(MESSAGE_BYTES, self._shared or 0)


def _estimate(old: float, new: float) -> float:
    return new if old == inf else max(new, old + DECAY * (new - old))


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
        self.items, self.results = SizeEstimate(may_share=True), SizeEstimate()

    def items_per_message(self, first: Any) -> int:
        """Return how many items to send together, given the first one."""
        is_plain = self.items.nbytes == inf and type(first) in PLAIN_TYPES
        if is_plain and (nbytes := getsizeof(first)) < OUT_OF_BAND_BYTES:
            self.items.set(nbytes)
        return self.items.per_message()

    def allows(self, pending: int) -> bool:
        """Return whether to send another chunk while `pending` tasks are pending."""
        nbytes = self.items.nbytes + self.results.nbytes
        return pending < self._least or (
            pending < self._most and (pending + 1) * nbytes <= MAX_PENDING_BYTES
        )


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
