"""Calls of a pool in a child process: a time limit, and a crash costs one task."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mpiapps.comm.pickling import Dumps, unpickle
from mpiapps.tasks.task import Call, Executable, RemoteTraceback, TaskError
from mpiapps.tasks.task_child import TaskChild
from mpiapps.tasks.task_set import TaskFailure, TaskSet

try:  # by value, where a function of the script itself has no module to import
    from cloudpickle import dumps
except ImportError:
    dumps = pickle.dumps


class CallChild:
    """The child process of a worker, which is replaced when it has ended.

    Parameters
    ----------
    timeout : float
        Time limit of a task, s, unless its call has one; 0: none.
    max_tasks : int
        Tasks after which the child is replaced, for code that leaks memory; 0: never.

    Notes
    -----
    Cost: the start of Python with the function's imports for each child, some 0.1 ms
    and two more copies of items and results for each task.
    """

    def __init__(self, timeout: float, max_tasks: int) -> None:
        self._timeout, self._max_tasks = timeout, max_tasks
        self._child: TaskChild | None = None
        self._sent: Call | None = None  # what the child has
        self._count = 0  # tasks that it has begun

    def limited(self, call: Call) -> Executable:
        """Return a call that is executed in the child, if it or the pool has limits."""
        has_limits = call.timeout or self._timeout or self._max_tasks
        return LimitedCall(call, self) if has_limits else call

    def execute(self, call: Call, number: int, item: Any) -> Any:
        """Return the result of a task, or raise its exception.

        Raises
        ------
        TaskError
            If the child has ended, or was terminated at the time limit.
        """
        child = self._child
        if child is None or child.has_ended or self._count == self._max_tasks > 0:
            self.close()
            child = self._child = TaskChild(_Calls())
        if self._sent is not call:  # its imports do not count against the time limit
            self._sent = None
            _run(child, number, 0, (dumps(call),))
            self._sent = call
        self._count += 1
        timeout = call.timeout or self._timeout
        return _run(child, number, timeout, (number, dumps(item)))

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
        self._child = self._sent = None
        self._count = 0


def _run(child: TaskChild, number: int, seconds: float, order: Any) -> Any:
    """Return what an order returns; raise `TaskError` if the child ends."""
    value = child.run(number, seconds, order)
    if not isinstance(value, TaskFailure):
        return value
    if value.traceback:  # a `TaskError` of the task itself
        cause = RemoteTraceback(value.traceback, number)
        raise TaskError(value.reason) from cause
    raise TaskError(f"task {number}: {value.reason}")


@dataclass(frozen=True)
class LimitedCall:
    """A call that is executed in a child process."""

    call: Call
    child: CallChild

    def function_of_item(self) -> None:
        """Return None: the child needs the number of the task."""

    def execute(self, number: int, item: Any) -> Any:
        """Return the result of one task."""
        return self.child.execute(self.call, number, item)


class _Calls(TaskSet):
    """The tasks of a child: calls, which come with their orders."""

    def __init__(self) -> None:
        self._call: Call | None = None

    @property
    def dumps(self) -> Dumps:
        """The function that pickles results."""
        result: Dumps = dumps
        return result

    def __len__(self) -> int:
        """Raise `TypeError`: there is no list of them."""
        raise TypeError("calls of a pool have no number")

    def run(self, numbers: Sequence[Any]) -> Iterator[Any]:
        """Yield the results of orders; see `run_one`."""
        for order in numbers:
            yield self.run_one(order)[1]

    def run_one(self, number: Any) -> tuple[Any, Any]:
        """Return an order and its result: of a pickled call, or a number and an item.

        A generator would replace the StopIteration that a task raises.
        """
        if len(number) == 1:
            self._call = pickle.loads(number[0])
            return number, None
        assert self._call is not None
        return number, self._call.execute(number[0], unpickle(number[1]))
