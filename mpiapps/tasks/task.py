"""A task, which is one call of a function, and its outcome. Starts no MPI."""

from __future__ import annotations

import os
import pickle
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from mpiapps.comm.pickling import (
    SIGNALS,
    Dumps,
    Pickled,
    attempt,
    pack,
    reason,
    shown,
    traceback_of,
    unpack,
)
from mpiapps.launch.forks import end_child, forks
from mpiapps.tasks.by_value import dumps_by_value
from mpiapps.tasks.limits import time_limit

# Call a function with an item.
CALLS: dict[str, Callable[..., Any]] = {
    "one": lambda f, item, extra: f(item, **extra),
    "star": lambda f, item, extra: f(*item, **extra),
}
# Re-raised from an iterator of results, these would end the caller's iteration.
ITERATION_ENDS = (StopIteration, StopAsyncIteration)


class TaskError(RuntimeError):
    """A failure that the task's own exception cannot represent. Raised: root only."""


class RemoteTraceback(Exception):
    """The traceback of a task on its rank, as the cause of its exception. Root only.

    Attributes
    ----------
    task : int
        The task's number in its call.
    """

    def __init__(self, text: str, task: int = -1) -> None:
        super().__init__(text, task)
        self.task = task

    def __str__(self) -> str:
        """Return the traceback, as Python prints it."""
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class Call:
    """A function, the form of its arguments, and the seed of its random generators.

    `timeout` is the time limit of a task, s; 0 or None: that of the pool, if any.
    With a seed, task i gets ``rng=default_rng(SeedSequence(seed, spawn_key=(i,)))``:
    its random numbers do not depend on the rank.
    """

    function: Callable[..., Any]
    kind: str = "one"
    seed: int | None = None
    timeout: float | None = 0

    def __post_init__(self) -> None:
        """Raise `ValueError` for an invalid time limit; without one, None is 0."""
        object.__setattr__(self, "timeout", time_limit(self.timeout))

    def function_of_item(self) -> Callable[[Any], Any] | None:
        """Return a function that `execute` equals, unless it needs the number."""
        if self.seed is not None:
            return None
        function = self.function
        return function if self.kind == "one" else lambda item: function(*item)

    def execute(self, number: int, item: Any) -> Any:
        """Return the result of one task."""
        extra = {}
        if self.seed is not None:
            seeds = np.random.SeedSequence(self.seed, spawn_key=(number,))
            extra["rng"] = np.random.default_rng(seeds)
        return CALLS[self.kind](self.function, item, extra)


class Executable(Protocol):
    """A `Call`, or one that is executed in a child process."""

    def function_of_item(self) -> Callable[[Any], Any] | None:
        """Return a function that `execute` equals, unless it needs the number."""

    def execute(self, number: int, item: Any) -> Any:
        """Return the result of one task."""


class Failure(NamedTuple):
    """The exception of a task, and its traceback."""

    error: Exception
    text: str


Outcome = tuple[bool, Any]  # True and the result, or False and the `Failure`


def remote_traceback(failure: Failure, number: int, rank: int) -> RemoteTraceback:
    """Return the cause of a task's exception."""
    return RemoteTraceback(f"task {number} on rank {rank}:\n{failure.text}", number)


def apply(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Return ``function(*args, **kwargs)``: the task of `submit`."""
    return function(*args, **kwargs)


def failure_of(number: int, error: BaseException) -> Failure:
    """Return the failure of a task that raised `error`.

    An exception that would end more than the task when it is re-raised is replaced by a
    `TaskError` that names it.
    """
    text = traceback_of(error)
    if isinstance(error, SystemExit):
        message = f"task {number} called sys.exit({shown(error.code)})"
        return Failure(TaskError(message), text)
    if isinstance(error, ITERATION_ENDS) or not isinstance(error, Exception):
        message = f"task {number} raised {shown(error)}"
        return Failure(TaskError(message), text)
    return Failure(error, text)


def execute_task(call: Executable, number: int, item: Any) -> Outcome:
    """Execute one task; return its outcome, also if it fails."""
    ok, value = attempt(call.execute, number, item)
    return (True, value) if ok else (False, failure_of(number, value))


PendingTasks = deque[Any]  # items of a chunk's tasks
_running: dict[int, PendingTasks] = {}


def _drop_running() -> None:
    for tasks in _running.values():
        tasks.clear()


os.register_at_fork(after_in_child=_drop_running)  # they are the parent's


class Outcomes(NamedTuple):
    """The outcomes of consecutive tasks.

    Attributes
    ----------
    values : list
        Results; None for failed tasks.
    failures : dict
        Failures by the number of the task.
    """

    values: list[Any]
    failures: dict[int, Failure]


def execute_chunk(
    call: Executable, first: int, tasks: PendingTasks, most: int = sys.maxsize
) -> Outcomes:
    """Execute up to `most` tasks of a deque; another thread may pop from its end.

    As `attempt` for each task, at a fraction of its cost.
    """
    values: list[Any] = []
    failures: dict[int, Failure] = {}
    function = call.function_of_item() or (
        lambda item: call.execute(first + len(values), item)
    )
    before, error = forks(), None
    take, add = tasks.popleft, values.append
    _running[id(tasks)] = tasks
    try:
        for _ in range(min(most, len(tasks))):
            try:
                item = take()
            except IndexError:  # popped by the other thread
                break
            try:
                add(function(item))
            except SIGNALS:
                raise
            except BaseException as raised:
                error, number = raised, first + len(values)
                if forks() == before:
                    failures[number] = failure_of(number, raised)
                add(None)
    finally:
        del _running[id(tasks)]
    if forks() != before:
        end_child(error)
    return Outcomes(values, failures)


def one_failure(number: int, failure: Failure) -> Outcomes:
    """Return the outcomes of one task, which has failed."""
    return Outcomes([None], {number: failure})


def pickling_failure(number: int, error: BaseException) -> Failure:
    """Return the failure of a task whose item cannot be pickled."""
    message = (
        f"the item of task {number} cannot be pickled ({reason(error)}), so it cannot"
        " be sent to another rank: pass data, and functions that are defined at the"
        " top level of a module"
    )
    return Failure(TaskError(message), traceback_of(error))


def unpickling_failure(number: int, error: BaseException) -> Failure:
    """Return the failure of a task whose item cannot be unpickled on its worker."""
    message = (
        f"the item of task {number} cannot be unpickled on its worker"
        f" ({reason(error)}): the worker must be able to import its types"
    )
    return Failure(TaskError(message), traceback_of(error))


class UnpicklableFunction:
    """Replaces a function that cannot be unpickled: each call raises `TaskError`."""

    def __init__(self, error: BaseException) -> None:
        self._message = (
            f"the function cannot be unpickled on its worker ({reason(error)}): define"
            " it in a module that the worker can import"
        )

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Raise `TaskError`."""
        raise TaskError(self._message)


def pack_call(call: Call, dumps: Dumps = pickle.dumps) -> Pickled:
    """Return a pickled call; by cloudpickle if it is installed and `dumps` fails.

    Raises
    ------
    TaskError
        If it cannot be pickled.
    """
    ok, value = attempt(pack, call, dumps)
    remedy = "; or install cloudpickle"
    if not ok and (by_value := dumps_by_value()):
        remedy = ""
        ok, value = attempt(pack, call, by_value)
    if ok:
        pickled: Pickled = value
        return pickled
    raise TaskError(
        f"the function {shown(call.function)} cannot be pickled ({reason(value)}), so"
        " it cannot be sent to another rank: define it at the top level of a module,"
        f" and bind arguments by functools.partial{remedy}"
    ) from value


def unpack_call(pickled: Pickled) -> Call:
    """Return a call; if it cannot be unpickled, one whose function raises the error."""
    ok, value = attempt(unpack, pickled)
    return value if ok else Call(UnpicklableFunction(value))
