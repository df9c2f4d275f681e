"""Map, starmap, imap and submit, whatever does the tasks: ranks, or workers of Dask."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from mpiapps.comm.task import How
from mpiapps.comm.task_calls import AHEAD, Awaited, Call, Cut

T = TypeVar("T")


class Mapper(ABC):
    """Shares tasks as `multiprocessing.Pool` does: the calls, without the carrying.

    Root only. `mpiapps.comm.tasks.Tasks` carries tasks to ranks, and
    `mpiapps.dasking.mapper.DaskTasks` to workers of Dask; results are the same.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()

    @abstractmethod
    def _workers(self) -> int:
        """Return how many there are to do tasks."""

    @abstractmethod
    def _take_on(self, call: Call[Any]) -> None:
        """Give out the tasks of a call from now on."""

    @abstractmethod
    def _begun(self, future: Awaited[Any]) -> None:
        """Begin the task of a future before anyone waits for it."""

    @abstractmethod
    def _advance(self) -> None:
        """Begin what may be begun, and wait for a result."""

    def map(
        self,
        function: Callable[..., T],
        items: Iterable[Any],
        chunksize: int | str | None = None,
        seed: int | None = None,
    ) -> list[T]:
        """Return the results of ``function(item)`` in order. Root only.

        Parameters
        ----------
        function : callable
            At the top level of a module: it is sent by name.
        items : iterable
        chunksize : int or "guided", optional
            Tasks sent at once; ``"guided"``: a share of what is left, so large chunks
            first. Default: a quarter of each worker's share.
        seed : int, optional
            Gives each task a keyword ``rng``: a `numpy.random.Generator` of its own,
            the same on any number of ranks.

        Raises
        ------
        Exception
            The first task's that failed, in the order of items; its cause shows the
            traceback and the rank. What was not begun is not done.
        """
        return self._whole(How(function, "one", seed), items, chunksize)

    def starmap(
        self,
        function: Callable[..., T],
        items: Iterable[Sequence[Any]],
        chunksize: int | str | None = None,
        seed: int | None = None,
    ) -> list[T]:
        """Return the results of ``function(*item)``. Root only; as `map`."""
        return self._whole(How(function, "star", seed), items, chunksize)

    def imap(
        self,
        function: Callable[..., T],
        items: Iterable[Any],
        chunksize: int = 1,
        seed: int | None = None,
    ) -> Iterator[T]:
        """Return an iterator over the results in order. Root only; as `map`.

        Items are taken as they are needed, so there may be no end of them: at most
        `AHEAD` chunks for each worker are done before their results are asked for.
        After a task's error, `next` goes on with the result after it.
        """
        return self._call(How(function, "one", seed), items, chunksize)

    def imap_unordered(
        self,
        function: Callable[..., T],
        items: Iterable[Any],
        chunksize: int = 1,
        seed: int | None = None,
        ahead: int = 0,
    ) -> Iterator[T]:
        """Return an iterator over the results as they come. Root only; as `imap`.

        `ahead`: tasks that may be begun before a result is asked for; default as there.
        """
        how = How(function, "one", seed)
        return self._call(how, items, chunksize, ordered=False, ahead=ahead)

    def submit(
        self, function: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> Future[T]:
        """Begin ``function(*args, **kwargs)``; return its future. Root only.

        The future's `result` and `exception` take in results while they wait.
        """
        call: Call[T] = self._call(How(function, "all"), [(args, kwargs)], 1)
        future = Awaited(call, self._advance)
        self._begun(future)
        return future

    def _whole(
        self, how: How, items: Iterable[Any], size: int | str | None
    ) -> list[Any]:
        listed = items if isinstance(items, Sequence) else list(items)
        call: Call[Any] = self._call(how, listed, size, ahead=len(listed) + 1)
        try:
            return list(call)
        finally:
            call.end()

    def _call(
        self,
        how: How,
        items: Iterable[Any],
        size: int | str | None,
        *,
        ordered: bool = True,
        ahead: int = 0,
    ) -> Call[Any]:
        cut = Cut(items, size, self._workers())
        chunk = cut.size if isinstance(cut.size, int) else 1
        ahead = ahead or AHEAD * self._workers() * chunk
        call: Call[Any] = Call(
            next(self._numbers), how, cut, ahead, self._advance, ordered
        )
        self._take_on(call)
        return call
