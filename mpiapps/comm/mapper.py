"""Map, starmap, imap and submit, whatever does the tasks: ranks, or workers of Dask."""

from __future__ import annotations

import itertools
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from mpiapps.comm.packing import Dumps, Packed
from mpiapps.comm.task import How
from mpiapps.comm.task_calls import AHEAD, Call, Chunk, Submissions
from mpiapps.comm.task_cut import Cut
from mpiapps.comm.task_queue import Queue

T = TypeVar("T")


class Mapper(ABC):
    """Shares tasks as `multiprocessing.Pool` does: the calls, without the carrying.

    Root only. `mpiapps.comm.tasks.Tasks` carries tasks to ranks, and
    `mpiapps.dasking.mapper.DaskTasks` to workers of Dask; results are the same.
    """

    def __init__(self, dumps: Dumps = pickle.dumps) -> None:
        self._numbers = itertools.count()
        self._dumps, self._queue = dumps, Queue(dumps)
        self._submitted: Submissions | None = None
        self._left: RuntimeError | None = None

    @abstractmethod
    def _workers(self) -> int:
        """Return how many there are to do tasks."""

    def _ahead(self, tasks: int) -> int:
        """Return how many tasks may be begun before their results are asked for."""
        return tasks

    @abstractmethod
    def _packed(self, how: How) -> Packed | None:
        """Return a function as it is sent; raise `TaskError` if it cannot be."""

    @abstractmethod
    def _hand_out(self) -> None:
        """Let workers that have room begin what is in the queue. Any thread."""

    def offer(self, work: Chunk | Call[Any]) -> None:
        """Hand out a chunk, or all of a call, as workers have room. Any thread.

        Local.
        """
        if self._left is not None:
            raise self._left
        self._queue.add(work)
        self._hand_out()

    def close(self) -> None:
        """Take no more calls, and end those whose results nobody waits for. Local."""
        self._left = RuntimeError(
            "the `with` block of these tasks was left; begin a new one"
        )
        for call in self._queue.calls() - {self._submitted}:
            call.fail(self._left)

    def await_change(self, call: Call[Any]) -> None:
        """Return when a call is due. The thread that made it. Local."""
        with call.changed:
            call.changed.wait_for(call.due)

    def forget(self, call: Call[Any]) -> None:
        """Drop what is kept for a call that has ended. Any thread. Local."""
        del call

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

        The future is one of `concurrent.futures`: `wait`, `as_completed`,
        `asyncio.wrap_future`, timeouts, callbacks and `cancel` work as there. What is
        not begun can be cancelled. Callbacks run in the thread that takes in results,
        so they must not wait for others.
        """
        if self._submitted is None:
            packed = self._packed(Submissions.how)
            self._submitted = Submissions(next(self._numbers), packed)
        chunk, future = self._submitted.add((function, args, kwargs))
        self.offer(chunk)
        return future

    def _whole(
        self, how: How, items: Iterable[Any], size: int | str | None
    ) -> list[Any]:
        return self._call(how, list(items), size).whole()

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
        ahead = self._ahead(ahead or AHEAD * self._workers() * chunk)
        return Call(
            next(self._numbers),
            how,
            self._packed(how),
            cut,
            ahead,
            ordered,
            self,
        )
