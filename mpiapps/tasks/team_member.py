"""What a rank does for the teams that it is a member of."""

from __future__ import annotations

from typing import NamedTuple

from mpiapps.comm.messages import MessageChannel
from mpiapps.comm.pickling import Pickled, attempt, unpack
from mpiapps.launch.mpi import MPI
from mpiapps.tasks.payload import PickledOutcome, pack_outcome
from mpiapps.tasks.task import (
    Outcome,
    UnpicklableFunction,
    execute_task,
    unpack_call,
    unpickling_failure,
)

ROOT = 0
N_TAGS = 2**14  # tags for creating communicators of teams


class Order(NamedTuple):
    """A task, sent to each rank of its team."""

    number: int  # of the team, unique in this `Teams`
    task: int  # number in its call
    members: list[int]
    call: Pickled
    item: Pickled


class FreeTeam(NamedTuple):
    """Sent after all ranks of a team have reported, to free its communicator."""

    number: int


class Report(NamedTuple):
    """The outcome of a task on one rank; results are sent by the team's rank 0 only."""

    number: int
    outcome: PickledOutcome


def work(comm: MPI.Intracomm, orders: MessageChannel, reports: MessageChannel) -> None:
    """Execute the tasks that the root sends, until it sends `None`. Collective."""
    failed: dict[int, MPI.Intracomm] = {}  # teams of tasks that failed on this rank
    while (order := orders.recv(ROOT)[1]) is not None:
        if isinstance(order, FreeTeam):
            if order.number in failed:
                failed.pop(order.number).Free()
            continue
        team, outcome = _execute(comm, order)
        report = Report(order.number, pack_outcome(outcome))
        if reports.isend(ROOT, report):
            reports.close()
        if outcome[0]:
            team.Free()
        else:
            failed[order.number] = team  # other ranks may still use it
    reports.close()


def _execute(comm: MPI.Intracomm, order: Order) -> tuple[MPI.Intracomm, Outcome]:
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
        return team, (False, unpickling_failure(order.task, item))
    ok, value = execute_task(call, order.task, (team, item))
    return team, (ok, value if team.rank == 0 or not ok else None)
