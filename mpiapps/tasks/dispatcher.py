"""What the results of a call need of their pool."""

from __future__ import annotations

from math import inf
from typing import Any, Protocol


class Dispatcher(Protocol):
    """Sends chunks to workers; `results` are a `results.MapResult`."""

    def enqueue(self, work: Any) -> None:
        """Enqueue a `Chunk`, or all chunks of the results of a call. Any thread."""

    def wait_until_due(self, results: Any, end: float = inf) -> None:
        """Wait until results are due, or until the time `end` of `time.monotonic`."""

    def check_thread(self) -> None:
        """Raise `RuntimeError` if this thread must not wait for results."""

    def forget(self, results: Any) -> None:
        """Release the state kept for a call that has ended. Any thread."""
