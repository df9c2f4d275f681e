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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from mpiapps.comm.messages import MessageChannel
from mpiapps.comm.pickling import Pickled, attempt, pack, unpack
from mpiapps.comm.ranks import Ranks, communicator
from mpiapps.launch.forks import is_child
from mpiapps.launch.mpi import MPI
from mpiapps.tasks.results import remote_traceback
from mpiapps.tasks.task import (
    Call,
    Outcome,
    PickledOutcome,
    TaskError,
    UnpicklableFunction,
    execute_task,
    pack_call,
    pack_outcome,
    pickling_failure,
    unpack_call,
    unpack_outcome,
    unpickling_failure,
)

T = TypeVar("T")
ROOT = 0
ORDERS, REPORTS = 40, 50  # tags; large messages use the next ones too
GRACE_SECONDS = 5.0  # s for the other ranks of a team to fail after the first one
N_TAGS = 2**14  # tags for creating communicators of teams


class _Order(NamedTuple):
    """A task, sent to each rank of its team."""

    number: int  # of the team, unique in this `Teams`
    task: int  # number in its call
    members: list[int]
    call: Pickled
    item: Pickled


class _FreeTeam(NamedTuple):
    """Sent after all ranks of a team have reported, to free its communicator."""

    number: int


class _Report(NamedTuple):
    """The outcome of a task on one rank; results are sent by the team's rank 0 only."""

    number: int
    outcome: PickledOutcome


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
        failed: dict[int, MPI.Intracomm] = {}  # teams of tasks that failed on this rank
        while (order := self._orders.recv(ROOT)[1]) is not None:
            if isinstance(order, _FreeTeam):
                if order.number in failed:
                    failed.pop(order.number).Free()
                continue
            team, outcome = _execute(self._comm, order)
            report = _Report(order.number, pack_outcome(outcome))
            if self._reports.isend(ROOT, report):
                self._reports.close()
            if outcome[0]:
                team.Free()
            else:
                failed[order.number] = team  # other ranks may still use it
        self._reports.close()
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
        item_list = list(items)
        team_sizes = self._team_sizes(sizes, len(item_list))
        call = Call(function, "star")
        pickled_call = None if self._alone else pack_call(call)
        pending = sorted(range(len(item_list)), key=lambda task: -team_sizes[task])
        results: dict[int, tuple[Outcome, int]] = {}
        while len(results) < len(item_list):
            for task in list(pending):
                if team_sizes[task] > len(self._free):
                    continue
                pending.remove(task)
                if pickled_call is None:
                    outcome = execute_task(call, task, (self._comm, item_list[task]))
                    results[task] = outcome, ROOT
                    continue
                ok, item = attempt(pack, item_list[task])
                if ok:
                    team = _Team(task, self._allocate(team_sizes[task]), results)
                    self._start(team, pickled_call, item)
                else:
                    results[task] = pickling_failure(task, item), ROOT
            if len(results) < len(item_list):
                self._receive_report()
        return [_value(task, *results[task]) for task in range(len(item_list))]

    def _team_sizes(self, sizes: int | Sequence[int], n: int) -> list[int]:
        """Return the size of the team of each of `n` tasks."""
        team_sizes = [sizes] * n if isinstance(sizes, int) else list(sizes)
        if len(team_sizes) != n:
            raise ValueError(f"{len(team_sizes)} sizes for {n} items")
        max_size = max(1, self._comm.size - 1)
        for size in team_sizes:
            if not 1 <= size <= max_size:
                raise ValueError(
                    f"a team of {size} ranks: give 1 to {max_size}, since rank 0 is"
                    " the manager"
                )
        return team_sizes

    def _start(self, team: _Team, call: Pickled, item: Pickled) -> None:
        """Send the task of a team to its ranks."""
        number = next(self._numbers)
        self._teams[number] = team
        order = _Order(number, team.task, team.members, call, item)
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
                self._orders.isend(member, _FreeTeam(number))


def _execute(comm: MPI.Intracomm, order: _Order) -> tuple[MPI.Intracomm, Outcome]:
    """Execute a task; return the communicator and the outcome. Collective: its team."""
    world = comm.Get_group()
    group = world.Incl(order.members)
    team = comm.Create_group(group, order.number % N_TAGS)
    group.Free()
    world.Free()
    call = unpack_call(order.call)
    has_item, item = attempt(unpack, order.item)
    can_start = has_item and not isinstance(call.function, UnpicklableFunction)
    # If one rank cannot start, the others would hang in their first collective.
    if not team.allreduce(can_start, op=MPI.LAND) and can_start:
        return team, (True, None)  # another rank reports the error
    if not has_item:
        return team, unpickling_failure(order.task, item)
    ok, value = execute_task(call, order.task, (team, item))
    return team, (ok, value if team.rank == 0 or not ok else None)


def _value(task: int, outcome: Outcome, rank: int) -> Any:
    if outcome[0]:
        return outcome[1]
    raise outcome[1].error from remote_traceback(outcome[1], task, rank)
