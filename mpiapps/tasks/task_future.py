"""The futures of a pool."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class TaskFuture(Future[T]):
    """A future that also raises an exception whose `bool` is false.

    `Future.result` of Python returns None in its place.
    """

    def result(self, timeout: float | None = None) -> T:
        """Return the result, or raise the exception; as `Future.result`."""
        error = self.exception(timeout)
        try:
            if error is not None:
                raise error
            return super().result()
        finally:
            del error  # its traceback refers to this frame
