"""One task: a call of a function, and what came of it. Starts no MPI."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mpiapps.comm.packing import (
    Dumps,
    Packed,
    attempt,
    is_plain,
    pack,
    reason,
    shown,
    traceback_of,
    unpack,
)

# How a function is called with an item.
CALLS: dict[str, Callable[..., Any]] = {
    "one": lambda f, item, extra: f(item, **extra),
    "star": lambda f, item, extra: f(*item, **extra),
}
# Raised by a task they would end the caller's own iteration, not report the task.
ENDS = (StopIteration, StopAsyncIteration)


class TaskError(RuntimeError):
    """A task failed in a way that its own exception cannot tell. Raised: root only."""


class RemoteTraceback(Exception):
    """The traceback of a task on its rank, as the cause of its error. Root only.

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
class How:
    """A function, how it is called, and the seed of its generators. Local.

    Task i gets ``rng=default_rng(SeedSequence(seed, spawn_key=(i,)))`` if there is a
    seed, so its numbers do not depend on where it runs.
    """

    function: Callable[..., Any]
    kind: str = "one"
    seed: int | None = None

    def do(self, number: int, item: Any) -> Any:
        """Return the result of one task. Local."""
        extra = {}
        if self.seed is not None:
            seeds = np.random.SeedSequence(self.seed, spawn_key=(number,))
            extra["rng"] = np.random.default_rng(seeds)
        return CALLS[self.kind](self.function, item, extra)


class Failure(NamedTuple):
    """What a task raised, and its traceback. Local."""

    error: Exception
    text: str


Outcome = tuple[bool, Any]  # whether it went well; the result, or the `Failure`


def apply(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Return ``function(*args, **kwargs)``: the task of `submit`. Local."""
    return function(*args, **kwargs)


def failed(number: int, error: BaseException) -> Outcome:
    """Return the outcome of a task that raised `error`, whatever that is. Local.

    An error that would end more than the task, where it is raised again, becomes a
    `TaskError` that names it.
    """
    text = traceback_of(error)
    if isinstance(error, SystemExit):
        told = f"task {number} called sys.exit({shown(error.code)})"
        return False, Failure(TaskError(told), text)
    if isinstance(error, ENDS) or not isinstance(error, Exception):
        told = f"task {number} raised {shown(error)}"
        return False, Failure(TaskError(told), text)
    return False, Failure(error, text)


def do_task(how: How, number: int, item: Any) -> Outcome:
    """Do one task, whatever it does. Local."""
    fine, value = attempt(how.do, number, item)
    return (True, value) if fine else failed(number, value)


Tasks = deque[tuple[int, Any]]  # numbers and items of a chunk's tasks


def do_chunk(how: How, tasks: Tasks) -> list[Outcome]:
    """Do tasks until there are no more; another thread may take the last. Local."""
    outcomes: list[Outcome] = []
    while tasks:
        try:
            number, item = tasks.popleft()
        except IndexError:  # taken just now
            break
        outcomes.append(do_task(how, number, item))
    return outcomes


class Sent(NamedTuple):
    """One outcome, packed apart from the others, so that it can fail alone. Local."""

    fine: bool
    packed: Packed | None
    kind: str  # the type of the result or the error
    text: str  # the traceback of an error; why it is not packed


Payload = list[Any] | Packed  # of items: plain values, or pickled together
Report = tuple[bool, list[Any]]  # of outcomes: whether they are plain; these, or `Sent`


def pack_items(items: list[Any], dumps: Dumps = pickle.dumps) -> tuple[bool, Any]:
    """Return whether items can be sent, and how they are; or the error. Local."""
    return (True, items) if is_plain(items) else attempt(pack, items, dumps)


def unpack_items(payload: Payload) -> tuple[bool, Any]:
    """Return whether items can be unpickled, and these; or the error. Local."""
    return attempt(unpack, payload) if isinstance(payload, Packed) else (True, payload)


def pack_outcomes(outcomes: list[Outcome], dumps: Dumps = pickle.dumps) -> Report:
    """Return outcomes as they are sent, whatever they are. Local."""
    results = [value for fine, value in outcomes if fine]
    if len(results) == len(outcomes) and is_plain(results):
        return True, results
    return False, [pack_outcome(outcome, dumps) for outcome in outcomes]


def pack_outcome(outcome: Outcome, dumps: Dumps = pickle.dumps) -> Sent:
    """Return an outcome as it is sent, whatever it is. Local."""
    fine, value = outcome
    content, text = (value, "") if fine else value
    kind = type(content).__name__
    packs, packed = attempt(pack, content, dumps)
    if packs:
        return Sent(fine, packed, kind, text)
    return Sent(fine, None, kind, text or f"{reason(packed)}\n")


def unpack_outcomes(first: int, report: Report) -> list[Outcome]:
    """Return the outcomes of tasks from `first` on, each with its own error. Local."""
    plain, values = report
    if plain:
        return [(True, value) for value in values]
    return [unpack_outcome(number, sent) for number, sent in enumerate(values, first)]


def unpack_outcome(number: int, sent: Sent) -> Outcome:
    """Return the outcome of a task, or why it cannot be unpickled. Local."""
    what = f"the {'result' if sent.fine else 'error'} of task {number} ({sent.kind})"
    if sent.packed is None:
        told = TaskError(f"{what} cannot be pickled: return what pickle can send")
        return False, Failure(told, sent.text)
    fine, value = attempt(unpack, sent.packed)
    if not fine:
        told = TaskError(f"{what} cannot be unpickled: {reason(value)}")
        return False, Failure(told, sent.text or traceback_of(value))
    if sent.fine:
        return True, value
    if isinstance(value, Exception) and not isinstance(value, ENDS):
        return False, Failure(value, sent.text)
    told = TaskError(f"{what} is unpickled as {shown(value)}, which is not an error")
    return False, Failure(told, sent.text)


def not_sent(number: int, error: BaseException) -> Outcome:
    """Return the outcome of a task whose item cannot be pickled. Local."""
    told = TaskError(
        f"the item of task {number} cannot be pickled ({reason(error)}), so it cannot"
        " be sent to another rank: pass data, and functions that are defined at the"
        " top level of a module"
    )
    return False, Failure(told, traceback_of(error))


def not_read(number: int, error: BaseException) -> Outcome:
    """Return the outcome of a task that its worker cannot unpickle. Local."""
    told = TaskError(
        f"the item of task {number} cannot be unpickled where the task runs"
        f" ({reason(error)}): its types must be importable there, too"
    )
    return False, Failure(told, traceback_of(error))


class Unreadable:
    """Stands for a function that cannot be unpickled: each call raises why. Local."""

    def __init__(self, error: BaseException) -> None:
        self._why = (
            f"the function cannot be unpickled where its tasks run ({reason(error)}):"
            " define it in a module that can be imported there, too"
        )

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Raise `TaskError`."""
        raise TaskError(self._why)


def pack_how(how: How, dumps: Dumps = pickle.dumps) -> Packed:
    """Return the function of a call as it is sent. Local.

    Raises
    ------
    TaskError
        If it cannot be pickled.
    """
    fine, found = attempt(pack, how, dumps)
    if fine:
        packed: Packed = found
        return packed
    raise TaskError(
        f"the function {shown(how.function)} cannot be pickled ({reason(found)}), so"
        " it cannot be sent to another rank: functions are sent by name; define it at"
        " the top level of a module, not in a function or as a lambda, and bind"
        " arguments by functools.partial"
    ) from found


def unpack_how(packed: Packed) -> How:
    """Return the function of a call; one that raises if it cannot be read. Local."""
    fine, value = attempt(unpack, packed)
    return value if fine else How(Unreadable(value))
