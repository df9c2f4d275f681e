"""A chunk of tasks, and what it needs of the results of its call. Starts no MPI."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from mpiapps.comm.pickling import Pickled
from mpiapps.tasks.chunk_weight import TaskSeconds
from mpiapps.tasks.task import Call, Outcomes


class CallResults(Protocol):
    """The results of one call, as a dispatcher sees them. Root only.

    Attributes
    ----------
    number : int
        The call's number in its pool.
    pickled : Pickled or None
        The pickled `call`.
    sent_to : set of int
        Ranks that have the function.
    task_seconds : TaskSeconds
        The duration of its tasks.
    """

    number: int
    pickled: Pickled | None
    sent_to: set[int]
    task_seconds: TaskSeconds

    @property
    def call(self) -> Call:
        """The function, and the form of its arguments."""

    @property
    def eager(self) -> bool:
        """Whether tasks are executed though nobody waits for them."""

    def set_running(self, chunk: Chunk) -> bool:
        """Return whether a chunk is still to be executed."""

    def items_per_message(self, first: Any) -> int:
        """Return how many items to send together, given the first one."""

    def add_items(self, n: int, nbytes: int, *, last: bool) -> bool:
        """Note the bytes of `n` items; return whether to send them together.

        `last`: the chunk has no more items.
        """

    def add_outcomes(
        self, first: int, outcomes: Outcomes, rank: int, nbytes: int = 0
    ) -> None:
        """Store the outcomes of tasks from number `first` on, which have `nbytes`."""

    def fail(self, error: BaseException) -> None:
        """End the call; waiting for a result raises `error`."""


class Chunk(NamedTuple):
    """Consecutive tasks of one call. Root only.

    Attributes
    ----------
    results : CallResults
        Receives the outcomes.
    first : int
        Number of the first task in its call.
    items : list
        Arguments of the function.
    """

    results: CallResults
    first: int
    items: list[Any]
