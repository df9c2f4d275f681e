"""Tasks of several ranks: each task gets its own communicator.

::

    with Teams(world.comm) as teams:
        if teams is not None:  # the root; the other ranks work until it leaves
            results = teams.map(simulate, cases, sizes=[8, 2, 2, 4])

`simulate(comm, case)` is collective over the ranks of its team; the return value of the
team's rank 0 is the result. Rank 0 of `world.comm` is the manager, and executes tasks
only if it is alone.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mpiapps.comm.messages import MessageChannel
from mpiapps.comm.pickling import Pickled, attempt, pack
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.forks import is_child
from mpiapps.launch.mpi import MPI
from mpiapps.tasks.payload import PickledOutcome, unpack_outcome
from mpiapps.tasks.task import (
    Call,
    Outcome,
    TaskError,
    execute_task,
    pack_call,
    pickling_failure,
    remote_traceback,
)
from mpiapps.tasks.team_member import ROOT, FreeTeam, Order, work

T = TypeVar("T")
ORDERS, REPORTS = 40, 50  # tags; large messages use the next ones too
GRACE_SECONDS = 5.0  # s for the other ranks of a team to fail after the first one


@dataclass
class _Team:
    """The ranks of a task, and their outcomes."""

    task: int
    members: list[int]
    results: dict[int, tuple[Outcome, int]]  # of all tasks of the call
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def first_failed(self) -> int | None:
        """Return the first rank that failed, if any."""
        failed = (rank for rank, (ok, _) in sorted(self.outcomes.items()) if not ok)
        return next(failed, None)

    def missing(self) -> list[int]:
        """Return the ranks that have not reported."""
        return [rank for rank in self.members if rank not in self.outcomes]

    def result(self) -> tuple[Outcome, int]:
        """Return the outcome of the task, and its rank."""
        failed = self.first_failed()
        rank = self.members[0] if failed is None else failed
        return self.outcomes[rank], rank


class Teams:
    """A pool for tasks of several ranks. Creating, entering, leaving: collective.

    Parameters
    ----------
    comm : MPI.Intracomm
        Duplicated. Its rank 0 is the manager, and executes tasks only if it is alone.

    Notes
    -----
    The largest task that fits starts first, on ranks as close together as possible;
    smaller ones fill the other ranks. Cost of a task of k ranks: k messages each way,
    ``MPI_Comm_create_group`` and an all-reduce over its ranks.
    """

    def __init__(self, comm: Ranks) -> None:
        self._comm = communicator(comm).Dup()
        self._alone = self._comm.size == 1
        self._orders = MessageChannel(self._comm, ORDERS)
        self._reports = MessageChannel(self._comm, REPORTS)
        self._free = list(range(0 if self._alone else 1, self._comm.size))
        self._numbers = itertools.count()
        self._teams: dict[int, _Team] = {}  # running

    def __enter__(self) -> Teams | None:
        """Return this on the root; work and return None on others. Collective."""
        if self._comm.rank == ROOT:
            return self
        work(self._comm, self._orders, self._reports)
        return None

    def __exit__(self, *exc: object) -> None:
        """End the workers. Collective.

        Raises
        ------
        TaskError
            If a task failed on some ranks of its team and others have not returned.
        """
        if is_child():
            return
        if self._comm.rank == ROOT:
            for rank in range(1, self._comm.size):
                self._orders.isend(rank, None)
            if exc[0] is not None:
                return
            while any(t.first_failed() is None for t in self._teams.values()):
                self._receive_report()  # of a call that was left before its end
            if self._teams:
                stuck = sorted({r for t in self._teams.values() for r in t.missing()})
                raise TaskError(
                    f"ranks {', '.join(map(str, stuck))} have not returned from a task"
                    " that failed on other ranks of its team, so the run cannot"
                    " continue: a task must fail on all ranks of its team, or on none"
                )
            self._orders.close()
        self._comm.Free()

    def map(
        self,
        function: Callable[[MPI.Intracomm, Any], T],
        items: Iterable[Any],
        sizes: int | Sequence[int],
    ) -> list[T]:
        """Return the results of ``function(comm, item)`` in order. Root only.

        Parameters
        ----------
        function : callable
            Collective over its team. Defined at the top level of a module: it is
            pickled by name.
        items : iterable
        sizes : int or sequence of int
            Number of ranks of all teams, or of each.

        Raises
        ------
        ValueError
            If a size is below 1, or above the number of workers.
        Exception
            The exception of the first failed task, in the order of items, after all
            tasks have ended.
        TaskError
            If a task failed on some ranks of its team and others do not return.
        """
        outcomes = {
            task: (outcome, rank)
            for task, outcome, rank in self._outcomes(function, items, sizes)
        }
        return [_value(task, *outcomes[task]) for task in range(len(outcomes))]

    def imap_unordered(
        self,
        function: Callable[[MPI.Intracomm, Any], T],
        items: Iterable[Any],
        sizes: int | Sequence[int],
        stop: Callable[[], bool] = bool,
    ) -> Iterator[tuple[int, T]]:
        """Yield the number and the result of each task as it ends. Root only.

        As `map`; no task starts once ``stop()`` is true.
        """
        for task, outcome, rank in self._outcomes(function, items, sizes, stop):
            yield task, _value(task, outcome, rank)

    def _outcomes(
        self,
        function: Callable[[MPI.Intracomm, Any], T],
        items: Iterable[Any],
        sizes: int | Sequence[int],
        stop: Callable[[], bool] = bool,
    ) -> Iterator[tuple[int, Outcome, int]]:
        """Yield the number, the outcome and the rank of each task as it ends."""
        item_list = list(items)
        ranks = team_sizes(self._comm, sizes, len(item_list))
        call = Call(function, "star")
        pickled_call = None if self._alone else pack_call(call)
        pending = sorted(range(len(item_list)), key=lambda task: -ranks[task])
        results: dict[int, tuple[Outcome, int]] = {}
        while pending or self._is_running(results):
            for task in list(pending):
                if stop():
                    pending.clear()
                    break
                if ranks[task] > len(self._free):
                    continue
                pending.remove(task)
                if pickled_call is None:
                    outcome = execute_task(call, task, (self._comm, item_list[task]))
                    yield task, outcome, ROOT
                    continue
                ok, item = attempt(pack, item_list[task])
                if ok:
                    team = _Team(task, self._allocate(ranks[task]), results)
                    self._start(team, pickled_call, item)
                else:
                    failure = pickling_failure(task, item)
                    yield task, (False, failure), ROOT
            if pending or self._is_running(results):
                self._receive_report()
            for task in list(results):
                yield task, *results.pop(task)

    def _is_running(self, results: dict[int, tuple[Outcome, int]]) -> bool:
        """Return whether a team of the call with these results is running."""
        return any(team.results is results for team in self._teams.values())

    def _start(self, team: _Team, call: Pickled, item: Pickled) -> None:
        """Send the task of a team to its ranks."""
        number = next(self._numbers)
        self._teams[number] = team
        order = Order(number, team.task, team.members, call, item)
        for rank in team.members:
            self._orders.isend(rank, order)

    def _allocate(self, size: int) -> list[int]:
        """Allocate `size` free ranks, as close together as possible."""
        free = self._free
        spans = [free[k + size - 1] - free[k] for k in range(len(free) - size + 1)]
        first = spans.index(min(spans))
        members = free[first : first + size]
        del free[first : first + size]
        return members

    def _receive_report(self) -> None:
        """Receive one report; store the task's result once its team has reported."""
        failing = (t for t in self._teams.values() if t.first_failed() is not None)
        failed = next(failing, None)
        deadline = time.monotonic() + GRACE_SECONDS

        def check_failed() -> None:
            if failed is not None and time.monotonic() > deadline:
                (_, failure), rank = failed.result()
                raise TaskError(
                    f"task {failed.task} failed on a rank, and other ranks of its team"
                    f" have not returned:\nrank {rank}:\n{failure.text}"
                )

        rank, (number, outcome) = self._reports.recv(on_idle=check_failed)
        team = self._teams[number]
        team.outcomes[rank] = unpack_outcome(team.task, PickledOutcome(*outcome))
        self._free = sorted([*self._free, rank])
        if team.missing():
            return
        del self._teams[number]
        team.results[team.task] = team.result()
        if team.first_failed() is not None:
            for member in team.members:
                self._orders.isend(member, FreeTeam(number))


def team_sizes(comm: MPI.Intracomm, sizes: int | Sequence[int], n: int) -> list[int]:
    """Return the size of the team of each of `n` tasks. Local.

    Raises
    ------
    ValueError
        If a size is below 1, or above the number of workers.
    """
    ranks = [sizes] * n if isinstance(sizes, int) else list(sizes)
    if len(ranks) != n:
        raise ValueError(f"{len(ranks)} sizes for {n} items")
    max_size = max(1, comm.size - 1)
    for size in ranks:
        if not 1 <= size <= max_size:
            raise ValueError(
                f"a team of {size} ranks: give 1 to {max_size}, since rank 0 is the"
                " manager"
            )
    return ranks


def _value(task: int, outcome: Outcome, rank: int) -> Any:
    if outcome[0]:
        return outcome[1]
    raise outcome[1].error from remote_traceback(outcome[1], task, rank)
