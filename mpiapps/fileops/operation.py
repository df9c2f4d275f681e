"""The interface of an operation on files: a result for each segment."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from mpiapps.base.errors import MpiAppsError
from mpiapps.fileops import windows
from mpiapps.fileops.segments import Segment


class CallFailed(Exception):
    """The exception of a user's function, summarised in one line.

    Attributes
    ----------
    stack : str
        The lines of the call stack; failures with equal stacks are reported once.
    traceback : str
        The traceback as Python prints it.
    """

    def __init__(self, error: BaseException, inner: TracebackType | None) -> None:
        """Store the error, and its traceback from the user's function on."""
        super().__init__(summarize_error(error))
        self.stack = "".join(traceback.format_tb(inner))
        lines = traceback.format_exception(type(error), error, inner) if inner else ()
        self.traceback = "".join(lines)


class Operation(ABC):
    """An operation on files; by default on whole files, one at a time.

    Attributes
    ----------
    splits_compressed : bool
        Whether a compressed file may have several segments, each with results of the
        records in its `windows`: their order must not matter.
    kernels : sequence of callable
        Compiled functions that it calls.
    segment_factor : int
        Factor of `MIN_SEGMENT_BYTES`.
    open_cost : int
        Cost of opening a file, in bytes of work. The large default makes each file a
        bundle by itself.
    """

    segment_factor = 1
    splits_compressed = False
    kernels: Sequence[Callable[..., Any]] = ()
    open_cost = 2**40

    def warm_up(self) -> None:
        """Compile the kernels by calling them once; override if there are any."""
        assert not self.kernels

    def is_splittable(self, _name: str) -> bool:
        """Return whether a file may be split into segments."""
        return False

    def window_bytes(self, _size: int) -> int:
        """Return the bytes of a window of the content of a compressed file."""
        return windows.WINDOW_BYTES

    @abstractmethod
    def execute(self, segment: Segment) -> Any:
        """Return the JSON-serialisable result of a segment."""

    def execute_all(self, segments: Sequence[Segment]) -> Iterator[Any]:
        """Yield the result of each segment, or its exception."""
        for segment in segments:
            yield result_or_error(self.execute, segment)

    def is_still_valid(self, _value: Any) -> bool:
        """Return whether a result recorded by an earlier run still holds. Root only."""
        return True

    def for_root(self, _segment: Segment, value: Any) -> Any:
        """Return the part of a result that the root needs; keep the rest."""
        return value

    def pack(self, values: list[Any]) -> Any:
        """Return results in the form to send: the list, or an array of rows."""
        return values


def summarize_error(error: BaseException) -> str:
    """Return the type of an error and the first line of its text."""
    try:
        text = str(error).partition("\n")[0]
    except BaseException:  # a user's exception class whose __str__ fails
        text = "<its text is not available>"
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def result_or_error(function: Callable[[Segment], Any], segment: Segment) -> Any:
    """Return the result of a segment, or the exception that `function` raised."""
    try:
        return function(segment)
    except MpiAppsError:
        raise
    except Exception as error:
        return error
