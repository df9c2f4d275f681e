"""The futures of a pool."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from mpiapps.comm.pickling import attempt

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


def set_future(setter: Callable[[Any], None], value: Any) -> None:
    """Set a result or an exception; drop exceptions of callbacks."""
    with suppress(InvalidStateError):  # the user has set it
        attempt(setter, value)
