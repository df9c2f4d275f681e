"""Tasks that ranks take from a counter or a manager, as `cases`."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from case import PICKLED_INT, Case

from mpiapps.base.platforms import Platform
from mpiapps.tasks.chunker import CHUNKS_PER_WORKER

MESSAGE = 64  # bytes of an answer
ATOMIC = 5e-7  # s of a fetch-and-add of another host's memory, at the memory
ANSWER = 2e-5  # s of the manager for a request, measured (docs/scale.md)
ITEM = 5e-7  # s of the manager to send an item and receive its result, likewise
RANKS_PER_HOST = 64


class Tasks(NamedTuple):
    """What each rank executes: s of a task, tasks, bytes of the answer with a task."""

    seconds: float
    per_rank: int
    answer: int = MESSAGE


SHORT_TASKS = Tasks(1e-3, 5)  # by a counter
LONG_TASKS = Tasks(1e-2, 5)  # by a manager
MANY_TASKS = Tasks(1e-2, 1000)  # by a manager, in chunks


def counter(platform: Platform, ranks: int) -> Case:
    """Return one counter for all ranks, in the memory of rank 0."""
    return _served(platform, ranks, ATOMIC, SHORT_TASKS)


def counter_by_host(platform: Platform, ranks: int) -> Case:
    """Return a counter on each host, which takes tasks of one for all hosts."""
    return _served(platform, ranks, ATOMIC, SHORT_TASKS, by_host=True)


def manager(platform: Platform, ranks: int) -> Case:
    """Return one manager that answers the requests of all ranks for one task each."""
    return _served(platform, ranks, ANSWER, LONG_TASKS)


def manager_chunks(platform: Platform, ranks: int) -> Case:
    """Return one manager that sends chunks of the default size of `MPIPool.map`."""
    items = MANY_TASKS.per_rank // CHUNKS_PER_WORKER
    seconds, nbytes = items * MANY_TASKS.seconds, MESSAGE + items * PICKLED_INT
    chunks = Tasks(seconds, CHUNKS_PER_WORKER, nbytes)
    return _served(platform, ranks, ANSWER + items * ITEM, chunks)


def _served(
    platform: Platform,
    ranks: int,
    answer: float,
    tasks: Tasks,
    *,
    by_host: bool = False,
) -> Case:
    """Return ranks that take tasks from a server, a process of its own on host 0.

    With `by_host`, each host has a server of its own, which fetches `RANKS_PER_HOST`
    tasks at a time from the first one.
    """
    per_host = RANKS_PER_HOST
    hosts = -(-ranks // per_host)
    work, serve = (round(t * platform.flops) for t in (tasks.seconds, answer))
    workers = [r // per_host for r in range(ranks)]
    total = ranks * tasks.per_rank // (per_host if by_host else 1)
    servers = [f"serve {hosts if by_host else ranks} {total} {serve} {tasks.answer}"]
    if by_host:
        local = f"serve {per_host} 0 {serve} {tasks.answer} {ranks} {per_host}"
        servers += [local] * hosts
    clients = (
        [f"fetch {ranks + 1 + host if by_host else ranks} {work}"] for host in workers
    )
    return Case(
        chain(clients, ([server] for server in servers)),
        [*workers, 0, *(range(hosts) if by_host else ())],
        tasks.answer * tasks.per_rank,
        tasks.seconds * tasks.per_rank,
    )
