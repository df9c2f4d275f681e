"""A task, which is one call of a function, and its outcome. Starts no MPI."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from mpiapps.comm.pickling import (
    Dumps,
    Pickled,
    attempt,
    is_plain,
    pack,
    reason,
    shown,
    traceback_of,
    unpack,
)

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

    With a seed, task i gets ``rng=default_rng(SeedSequence(seed, spawn_key=(i,)))``:
    its random numbers do not depend on the rank.
    """

    function: Callable[..., Any]
    kind: str = "one"
    seed: int | None = None

    def execute(self, number: int, item: Any) -> Any:
        """Return the result of one task."""
        extra = {}
        if self.seed is not None:
            seeds = np.random.SeedSequence(self.seed, spawn_key=(number,))
            extra["rng"] = np.random.default_rng(seeds)
        return CALLS[self.kind](self.function, item, extra)


class Executable(Protocol):
    """A `Call`, or one that is executed in a child process."""

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


def failed_outcome(number: int, error: BaseException) -> Outcome:
    """Return the outcome of a task that raised `error`.

    An exception that would end more than the task when it is re-raised is replaced by a
    `TaskError` that names it.
    """
    text = traceback_of(error)
    if isinstance(error, SystemExit):
        message = f"task {number} called sys.exit({shown(error.code)})"
        return False, Failure(TaskError(message), text)
    if isinstance(error, ITERATION_ENDS) or not isinstance(error, Exception):
        message = f"task {number} raised {shown(error)}"
        return False, Failure(TaskError(message), text)
    return False, Failure(error, text)


def execute_task(call: Executable, number: int, item: Any) -> Outcome:
    """Execute one task; return its outcome, also if it fails."""
    ok, value = attempt(call.execute, number, item)
    return (True, value) if ok else failed_outcome(number, value)


PendingTasks = deque[tuple[int, Any]]  # numbers and items of a chunk's tasks


def execute_chunk(call: Executable, tasks: PendingTasks) -> list[Outcome]:
    """Execute the tasks of a deque; another thread may pop from its end."""
    outcomes: list[Outcome] = []
    while tasks:
        try:
            number, item = tasks.popleft()
        except IndexError:  # popped by the other thread
            break
        outcomes.append(execute_task(call, number, item))
    return outcomes


class PickledOutcome(NamedTuple):
    """One outcome, pickled separately, so that pickling errors affect it alone."""

    ok: bool
    pickled: Pickled | None
    kind: str  # type name of the result or the exception
    text: str  # traceback of the exception, or of the pickling error


# Items: plain values, or pickled together.
Payload = list[Any] | Pickled
# Outcomes: True and plain results, or False and `PickledOutcome` for each task.
Report = tuple[bool, list[Any]]


def pack_items(items: list[Any], dumps: Dumps = pickle.dumps) -> tuple[bool, Any]:
    """Return True and the payload of items, or False and the pickling error."""
    return (True, items) if is_plain(items) else attempt(pack, items, dumps)


def unpack_items(payload: Payload) -> tuple[bool, Any]:
    """Return True and the items of a payload, or False and the unpickling error."""
    return attempt(unpack, payload) if isinstance(payload, Pickled) else (True, payload)


def pack_outcomes(outcomes: list[Outcome], dumps: Dumps = pickle.dumps) -> Report:
    """Return the report of outcomes; pickling errors become outcomes of their tasks."""
    results = [value for ok, value in outcomes if ok]
    if len(results) == len(outcomes) and is_plain(results):
        return True, results
    return False, [pack_outcome(outcome, dumps) for outcome in outcomes]


def pack_outcome(outcome: Outcome, dumps: Dumps = pickle.dumps) -> PickledOutcome:
    """Return a pickled outcome; a pickling error is reported in its place."""
    ok, value = outcome
    content, text = (value, "") if ok else value
    kind = type(content).__name__
    is_pickled, pickled = attempt(pack, content, dumps)
    if is_pickled:
        return PickledOutcome(ok, pickled, kind, text)
    return PickledOutcome(ok, None, kind, text or f"{reason(pickled)}\n")


def unpack_outcomes(first: int, report: Report) -> list[Outcome]:
    """Return the outcomes of a report, whose first task has the number `first`."""
    plain, values = report
    if plain:
        return [(True, value) for value in values]
    return [unpack_outcome(n, outcome) for n, outcome in enumerate(values, first)]


def unpack_outcome(number: int, outcome: PickledOutcome) -> Outcome:
    """Return the outcome of a task, or the failure to unpickle it."""
    content = "result" if outcome.ok else "error"
    subject = f"the {content} of task {number} ({outcome.kind})"
    if outcome.pickled is None:
        error = TaskError(f"{subject} cannot be pickled: return a picklable object")
        return False, Failure(error, outcome.text)
    ok, value = attempt(unpack, outcome.pickled)
    if not ok:
        error = TaskError(f"{subject} cannot be unpickled: {reason(value)}")
        return False, Failure(error, outcome.text or traceback_of(value))
    if outcome.ok:
        return True, value
    if isinstance(value, Exception) and not isinstance(value, ITERATION_ENDS):
        return False, Failure(value, outcome.text)
    error = TaskError(
        f"{subject} is unpickled as {shown(value)}, which is not an exception"
    )
    return False, Failure(error, outcome.text)


def pickling_failure(number: int, error: BaseException) -> Outcome:
    """Return the outcome of a task whose item cannot be pickled."""
    message = (
        f"the item of task {number} cannot be pickled ({reason(error)}), so it cannot"
        " be sent to another rank: pass data, and functions that are defined at the"
        " top level of a module"
    )
    return False, Failure(TaskError(message), traceback_of(error))


def unpickling_failure(number: int, error: BaseException) -> Outcome:
    """Return the outcome of a task whose item cannot be unpickled on its worker."""
    message = (
        f"the item of task {number} cannot be unpickled on its worker"
        f" ({reason(error)}): the worker must be able to import its types"
    )
    return False, Failure(TaskError(message), traceback_of(error))


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
    """Return a pickled call.

    Raises
    ------
    TaskError
        If it cannot be pickled.
    """
    ok, value = attempt(pack, call, dumps)
    if ok:
        pickled: Pickled = value
        return pickled
    raise TaskError(
        f"the function {shown(call.function)} cannot be pickled ({reason(value)}), so"
        " it cannot be sent to another rank: functions are pickled by name; define it"
        " at the top level of a module, not in a function or as a lambda, and bind"
        " arguments by functools.partial"
    ) from value


def unpack_call(pickled: Pickled) -> Call:
    """Return a call; if it cannot be unpickled, one whose function raises the error."""
    ok, value = attempt(unpack, pickled)
    return value if ok else Call(UnpicklableFunction(value))
