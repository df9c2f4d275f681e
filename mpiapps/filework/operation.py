"""What an operation on files is: a result for each segment."""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any

from mpiapps.base.errors import MpiAppsError
from mpiapps.filework.segments import Segment


class CallFailed(Exception):
    """What a user's function raised, in a line. Local.

    Attributes
    ----------
    stack : str
        The lines that were being run: equal ones are reported once.
    traceback : str
        As Python prints it.
    """

    def __init__(self, error: BaseException, inner: TracebackType | None) -> None:
        """Take the error, and its traceback from the function on."""
        super().__init__(brief(error))
        self.stack = "".join(traceback.format_tb(inner))
        lines = traceback.format_exception(type(error), error, inner) if inner else ()
        self.traceback = "".join(lines)


class Operation(ABC):
    """What is done with files: by default whole ones, one at a time. Local.

    Attributes
    ----------
    kernels : sequence of callable
        Compiled code that it calls.
    opening : int
        Bytes whose work costs as much as a file does besides; so large by default that
        each file is dealt by itself.
    """

    kernels: Sequence[Callable[..., Any]] = ()
    opening = 2**40

    def warm(self) -> None:
        """Call the kernels once, on next to nothing; whoever has some overrides it."""
        assert not self.kernels

    def cuts(self, _name: str) -> bool:
        """Return whether a file may be cut into segments."""
        return False

    @abstractmethod
    def do(self, segment: Segment) -> Any:
        """Return the result of a segment, as JSON can hold it."""

    def do_all(self, segments: Sequence[Segment]) -> Iterator[Any]:
        """Yield for each segment its result, or the error."""
        for segment in segments:
            yield attempt(self.do, segment)

    def stands(self, _value: Any) -> bool:
        """Return whether what an earlier run recorded still holds. Root only."""
        return True

    def kept(self, _segment: Segment, value: Any) -> Any:
        """Return what of a result the root must have; keep the rest here."""
        return value

    def pack(self, values: list[Any]) -> Any:
        """Return results as they are sent: the list, or an array of rows."""
        return values


def brief(error: BaseException) -> str:
    """Return the type of an error and the first line of its text. Local."""
    try:
        text = str(error).partition("\n")[0]
    except BaseException:  # a user's own
        text = "<its text cannot be had>"
    kind = type(error).__name__
    return f"{kind}: {text}" if text else kind


def attempt(do: Callable[[Segment], Any], segment: Segment) -> Any:
    """Return the result of a segment, or the error. Local."""
    try:
        return do(segment)
    except MpiAppsError:
        raise
    except Exception as error:
        return error
