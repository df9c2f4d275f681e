"""Tasks that are parallel themselves: each gets a communicator of its ranks.

::

    with Teams(world.comm) as teams:
        if teams is not None:  # the root; the other ranks work until it is through
            found = teams.map(simulate, cases, sizes=[8, 2, 2, 4])

`simulate(comm, case)` is called on all ranks of its team, collectively; what it returns
on the team's rank 0 is the result.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from mpiapps.comm.letters import Letters
from mpiapps.comm.mpi import MPI
from mpiapps.comm.task import RemoteTraceback, TaskError

T = TypeVar("T")
ROOT = 0
ORDERS, REPORTS = 30, 40  # tags; the numbers after them are for large letters
GRACE = 5.0  # s that a team's other ranks have to fail, too, when one has
TAGS = 2**14  # of teams that are made at the same time


class _Order(NamedTuple):
    number: int
    members: list[int]
    function: Callable[..., Any]
    item: Any


class _Report(NamedTuple):
    number: int
    fine: bool
    value: Any  # the result on the team's rank 0; the error and its traceback


class Teams:
    """Shares tasks of several ranks each over a communicator. Collective to make.

    Parameters
    ----------
    comm : MPI.Intracomm
        Duplicated. Its rank 0 gives out tasks and does none, unless it is alone.

    Notes
    -----
    The widest task that fits begins first, on neighbouring ranks where there are such,
    and narrower ones fill the rest. Cost of a task of k ranks: k messages each way and
    ``MPI_Comm_create_group``, collective over its ranks alone.
    """

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm.Dup()
        self._alone = comm.size == 1
        self._orders = Letters(self._comm, ORDERS)
        self._reports = Letters(self._comm, REPORTS)
        self._free = list(range(0 if self._alone else 1, comm.size))

    def __enter__(self) -> Teams | None:
        """Return this on the root; elsewhere work, and return ``None``. Collective."""
        if self._comm.rank == ROOT:
            return self
        while (order := self._orders.wait(ROOT)[1]) is not None:
            self._reports.send(ROOT, _done(self._comm, order))
        self._reports.close()
        return None

    def __exit__(self, *exc: object) -> None:
        """Send the workers away. Collective."""
        if self._comm.rank == ROOT:
            for rank in range(1, self._comm.size):
                self._orders.send(rank, None)
            if exc[0] is not None:
                return
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
        wanted = [sizes] * len(listed) if isinstance(sizes, int) else list(sizes)
        if len(wanted) != len(listed):
            raise ValueError(f"{len(wanted)} sizes for {len(listed)} items")
        for size in wanted:
            if not 1 <= size <= len(self._free):
                raise ValueError(
                    f"a team of {size} ranks: give 1 to {len(self._free)}, since rank 0"
                    " gives out the tasks"
                )
        waiting = sorted(range(len(listed)), key=lambda n: -wanted[n])
        work: dict[int, dict[int, _Report | None]] = {}
        found: dict[int, _Report] = {}
        while waiting or work:
            for n in list(waiting):
                if wanted[n] > len(self._free):
                    continue
                waiting.remove(n)
                order = _Order(n, self._taken(wanted[n]), function, listed[n])
                if self._alone:
                    found[n] = _done(self._comm, order)
                    self._free = [ROOT]
                    continue
                work[n] = dict.fromkeys(order.members)
                for rank in order.members:
                    self._orders.send(rank, order)
            if work:
                self._hear(work, found)
        return [_result(found[n]) for n in range(len(listed))]

    def _taken(self, size: int) -> list[int]:
        """Return so many free ranks, as near to each other as there are; take them."""
        free = self._free
        spans = [free[k + size - 1] - free[k] for k in range(len(free) - size + 1)]
        first = spans.index(min(spans))
        taken = free[first : first + size]
        del free[first : first + size]
        return taken

    def _hear(
        self,
        work: dict[int, dict[int, _Report | None]],
        found: dict[int, _Report],
    ) -> None:
        """Take in one report; a task is through when its whole team is."""
        told = (each for team in work.values() for each in team.values())
        bad = next((each for each in told if each is not None and not each.fine), None)
        until = time.monotonic() + GRACE

        def watch() -> None:
            if bad is not None and time.monotonic() > until:
                raise TaskError(
                    f"task {bad.number} failed on a rank, and others of its team still"
                    f" work:\n{bad.value[1]}"
                )

        rank, report = self._reports.wait(meanwhile=watch)
        team = work[report.number]
        team[rank] = report
        self._free = sorted([*self._free, rank])
        reports = [each for each in team.values() if each is not None]
        if len(reports) == len(team):
            del work[report.number]
            failed = [each for each in reports if not each.fine]
            found[report.number] = failed[0] if failed else team[min(team)] or report


def _done(comm: MPI.Intracomm, order: _Order) -> _Report:
    """Do a task with the other ranks of its team. Collective over these."""
    world = comm.Get_group()
    group = world.Incl(order.members)
    team = comm.Create_group(group, order.number % TAGS)
    try:
        value = order.function(team, order.item)
        report = _Report(order.number, True, value if team.rank == 0 else None)
    except Exception as error:
        told = f"rank {comm.rank}:\n{traceback.format_exc()}"
        return _Report(order.number, False, (error, told))  # others may use the team
    team.Free()
    group.Free()
    world.Free()
    return report


def _result(report: _Report) -> Any:
    if report.fine:
        return report.value
    error, text = report.value
    raise error from RemoteTraceback(f"task {report.number} on {text}")
