"""Tasks that are parallel themselves: each gets a communicator of its ranks.

::

    with Teams(world.comm) as teams:
        if teams is not None:  # the root; the other ranks work until it is through
            found = teams.map(simulate, cases, sizes=[8, 2, 2, 4])

`simulate(comm, case)` is called on all ranks of its team, collectively; what it returns
on the team's rank 0 is the result. Rank 0 of `world.comm` gives out tasks and is in no
team, unless it is alone.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from mpiapps.base.forks import is_child
from mpiapps.comm.letters import Letters
from mpiapps.comm.mpi import MPI
from mpiapps.comm.packing import Packed, attempt, pack, unpack
from mpiapps.comm.task import (
    How,
    Outcome,
    Sent,
    TaskError,
    Unreadable,
    do_task,
    not_read,
    not_sent,
    pack_how,
    pack_outcome,
    unpack_how,
    unpack_outcome,
)
from mpiapps.comm.task_calls import remote

T = TypeVar("T")
ROOT = 0
ORDERS, REPORTS = 40, 50  # tags; the numbers after them are for large letters
GRACE = 5.0  # s that a team's other ranks have to fail, too, when one has
TAGS = 2**14  # of teams that are made at the same time


class _Order(NamedTuple):
    """A task, for each rank of its team."""

    number: int  # of all tasks of these teams
    task: int  # in its call
    members: list[int]
    how: Packed
    item: Packed


class _Free(NamedTuple):
    """The team of a task that failed is needed no longer, as all ranks have left it."""

    number: int


class _Report(NamedTuple):
    """What a rank made of a task; a result is sent by the team's rank 0."""

    number: int
    sent: Sent


@dataclass
class _Team:
    """The ranks that do a task, and what they report."""

    task: int
    members: list[int]
    results: dict[int, tuple[Outcome, int]]  # of its call
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def failed(self) -> int | None:
        """Return the first rank that failed, if any."""
        bad = (rank for rank, (fine, _) in sorted(self.outcomes.items()) if not fine)
        return next(bad, None)

    def missing(self) -> list[int]:
        """Return the ranks that still do the task."""
        return [rank for rank in self.members if rank not in self.outcomes]

    def result(self) -> tuple[Outcome, int]:
        """Return the outcome of the task, and the rank that it is from."""
        failed = self.failed()
        rank = self.members[0] if failed is None else failed
        return self.outcomes[rank], rank


class Teams:
    """Shares tasks of several ranks each over a communicator. Collective to make.

    Parameters
    ----------
    comm : MPI.Intracomm
        Duplicated. Its rank 0 gives out tasks and does none, unless it is alone.

    Notes
    -----
    The widest task that fits begins first, on neighbouring ranks where there are such,
    and narrower ones fill the rest. Cost of a task of k ranks: k messages each way,
    ``MPI_Comm_create_group`` and an all-reduce, collective over its ranks alone.
    """

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm.Dup()
        self._alone = comm.size == 1
        self._orders = Letters(self._comm, ORDERS)
        self._reports = Letters(self._comm, REPORTS)
        self._free = list(range(0 if self._alone else 1, comm.size))
        self._numbers = itertools.count()
        self._teams: dict[int, _Team] = {}  # at work

    def __enter__(self) -> Teams | None:
        """Return this on the root; elsewhere work, and return ``None``. Collective."""
        if self._comm.rank == ROOT:
            return self
        kept: dict[int, MPI.Intracomm] = {}
        while (order := self._orders.wait(ROOT)[1]) is not None:
            if isinstance(order, _Free):
                if order.number in kept:  # else it did not fail here
                    kept.pop(order.number).Free()
                continue
            team, outcome = _do(self._comm, order)
            report = _Report(order.number, pack_outcome(outcome))
            if self._reports.send(ROOT, report):
                self._reports.close()
            if outcome[0]:
                team.Free()
            else:
                kept[order.number] = team  # others may still use it
        self._reports.close()
        return None

    def __exit__(self, *exc: object) -> None:
        """Send the workers away. Collective.

        Raises
        ------
        TaskError
            If ranks never came back from a task that failed on others of its team.
        """
        if is_child():
            return
        if self._comm.rank == ROOT:
            for rank in range(1, self._comm.size):
                self._orders.send(rank, None)
            if exc[0] is not None:
                return
            if self._teams:
                stuck = sorted({r for t in self._teams.values() for r in t.missing()})
                raise TaskError(
                    f"ranks {', '.join(map(str, stuck))} have not come back from a task"
                    " that failed on others of its team, so this run cannot go on: let"
                    " a task fail on all ranks of its team, or on none"
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
            At the top level of a module: it is sent by name. Collective over its team.
        items : iterable
        sizes : int or sequence of int
            Ranks of all teams, or of each.

        Raises
        ------
        ValueError
            If a size is below 1, or above the number of ranks that do tasks.
        Exception
            The first task's that failed, in the order of items, when all are through.
        TaskError
            At once, if a rank failed and others of its team still work.
        """
        listed = list(items)
        wanted = self._checked(sizes, len(listed))
        how = How(function, "star")
        packed = None if self._alone else pack_how(how)
        waiting = sorted(range(len(listed)), key=lambda task: -wanted[task])
        results: dict[int, tuple[Outcome, int]] = {}
        while len(results) < len(listed):
            for task in list(waiting):
                if wanted[task] > len(self._free):
                    continue
                waiting.remove(task)
                if packed is None:
                    outcome = do_task(how, task, (self._comm, listed[task]))
                    results[task] = outcome, ROOT
                    continue
                fine, item = attempt(pack, listed[task])
                if fine:
                    team = _Team(task, self._taken(wanted[task]), results)
                    self._begin(team, packed, item)
                else:
                    results[task] = not_sent(task, item), ROOT
            if len(results) < len(listed):
                self._take_in()
        return [_value(task, *results[task]) for task in range(len(listed))]

    def _checked(self, sizes: int | Sequence[int], n: int) -> list[int]:
        """Return the size of the team of each of `n` tasks."""
        wanted = [sizes] * n if isinstance(sizes, int) else list(sizes)
        if len(wanted) != n:
            raise ValueError(f"{len(wanted)} sizes for {n} items")
        most = max(1, self._comm.size - 1)
        for size in wanted:
            if not 1 <= size <= most:
                raise ValueError(
                    f"a team of {size} ranks: give 1 to {most}, since rank 0 gives out"
                    " the tasks"
                )
        return wanted

    def _begin(self, team: _Team, how: Packed, item: Packed) -> None:
        """Let the ranks of a team do its task."""
        number = next(self._numbers)
        self._teams[number] = team
        for rank in team.members:
            self._orders.send(rank, _Order(number, team.task, team.members, how, item))

    def _taken(self, size: int) -> list[int]:
        """Return so many free ranks, as near to each other as there are; take them."""
        free = self._free
        spans = [free[k + size - 1] - free[k] for k in range(len(free) - size + 1)]
        first = spans.index(min(spans))
        taken = free[first : first + size]
        del free[first : first + size]
        return taken

    def _take_in(self) -> None:
        """Take in one report; a task is through when its whole team is."""
        broken = next((t for t in self._teams.values() if t.failed() is not None), None)
        until = time.monotonic() + GRACE

        def watch() -> None:
            if broken is not None and time.monotonic() > until:
                (_, failure), rank = broken.result()
                raise TaskError(
                    f"task {broken.task} failed on a rank, and others of its team still"
                    f" work:\nrank {rank}:\n{failure.text}"
                )

        rank, (number, sent) = self._reports.wait(meanwhile=watch)
        team = self._teams[number]
        team.outcomes[rank] = unpack_outcome(team.task, Sent(*sent))
        self._free = sorted([*self._free, rank])
        if team.missing():
            return
        del self._teams[number]
        team.results[team.task] = team.result()
        if team.failed() is not None:
            for member in team.members:
                self._orders.send(member, _Free(number))


def _do(comm: MPI.Intracomm, order: _Order) -> tuple[MPI.Intracomm, Outcome]:
    """Do a task with the other ranks of its team. Collective over these."""
    world = comm.Get_group()
    group = world.Incl(order.members)
    team = comm.Create_group(group, order.number % TAGS)
    group.Free()
    world.Free()
    how = unpack_how(order.how)
    read, item = attempt(unpack, order.item)
    able = read and not isinstance(how.function, Unreadable)
    # One rank that cannot begin would leave the others in their first collective.
    begins = team.allreduce(able, op=MPI.LAND)
    if able and not begins:
        return team, (True, None)  # the rank that is not able reports why
    if not read:
        return team, not_read(order.task, item)
    fine, value = do_task(how, order.task, (team, item))
    return team, (fine, value if team.rank == 0 or not fine else None)


def _value(task: int, outcome: Outcome, rank: int) -> Any:
    fine, value = outcome
    if fine:
        return value
    raise value.error from remote(value, task, rank)
