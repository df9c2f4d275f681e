"""One task: a call of a function, and what came of it. Starts no MPI."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

# How a function is called with an item.
CALLS: dict[str, Callable[..., Any]] = {
    "one": lambda f, item, extra: f(item, **extra),
    "star": lambda f, item, extra: f(*item, **extra),
    "all": lambda f, item, extra: f(*item[0], **item[1], **extra),
}


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


class Chunk(NamedTuple):
    """Some neighbouring tasks of one call. Local.

    Attributes
    ----------
    call : int
        Number of the call; with the first task's number it names the result.
    first : int
        Number of the first task in its call.
    items : list
        What the function is called with.
    """

    call: int
    first: int
    items: list[Any]


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


Outcome = tuple[bool, Any]  # whether it went well; the result, or error and traceback


def do_chunk(how: How, chunk: Chunk) -> list[Outcome]:
    """Do the tasks of a chunk, all of them, whatever one does. Local."""
    outcomes: list[Outcome] = []
    for number, item in enumerate(chunk.items, chunk.first):
        try:
            outcomes.append((True, how.do(number, item)))
        except SystemExit as error:
            stop = TaskError(f"task {number} called sys.exit({error.code!r})")
            outcomes.append((False, (stop, traceback.format_exc())))
        except Exception as error:
            outcomes.append((False, (error, traceback.format_exc())))
    return outcomes


def pickled(chunk: Chunk, outcomes: list[Outcome]) -> bytes:
    """Return the outcomes as bytes; what cannot be sent becomes an error. Local."""
    try:
        if not all(fine for fine, _ in outcomes):
            raise TypeError("errors are looked at one by one")
        return pickle.dumps(outcomes, protocol=5)
    except Exception:
        return pickle.dumps(sendable(chunk, outcomes, pickle.dumps), protocol=5)


def unpickled(first: int, n: int, content: bytes) -> list[Outcome]:
    """Return what `pickled` was given, or an error for each task. Local."""
    try:
        outcomes: list[Outcome] = pickle.loads(content)
    except Exception as error:
        text = traceback.format_exc()
        return [
            (
                False,
                (TaskError(f"the result of task {i} cannot be read: {error}"), text),
            )
            for i in range(first, first + n)
        ]
    return outcomes


def sendable(
    chunk: Chunk, outcomes: list[Outcome], dumps: Callable[[Outcome], bytes]
) -> list[Outcome]:
    """Return the outcomes, errors in place of those that `dumps` refuses. Local."""
    every = enumerate(outcomes, chunk.first)
    return [_sendable(n, each, dumps) for n, each in every]


def _sendable(
    number: int, outcome: Outcome, dumps: Callable[[Outcome], bytes]
) -> Outcome:
    try:
        pickle.loads(dumps(outcome))
    except Exception as error:
        fine, value = outcome
        what, text = ("result", "") if fine else ("error", value[1])
        kind = type(value if fine else value[0]).__name__
        lost = TaskError(
            f"the {what} of task {number}, a {kind}, cannot be sent: {error}"
        )
        return False, (lost, text or f"{type(error).__name__}: {error}\n")
    return outcome
