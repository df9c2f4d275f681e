"""Task order and host choice: slots of the hosts as they become free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence


class SlotScheduler:
    """The free cores of the hosts, and the queue of tasks.

    Parameters
    ----------
    cores : sequence of int
        Cores of each host.

    Notes
    -----
    The task with the most cores goes first, tasks of equal width in their order;
    narrower tasks use the cores that it cannot use. While it fits on no host, one host
    is reserved for it, so that it starts eventually. Among the hosts that fit, the one
    with the most free cores is used.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self.cores = list(cores)
        self._free = list(cores)
        self._queues: dict[int, deque[int]] = {}  # cores -> tasks

    def __len__(self) -> int:
        """Return the number of queued tasks."""
        return sum(map(len, self._queues.values()))

    def enqueue(self, number: int, cores: int, *, first: bool = False) -> None:
        """Queue a task, before the others of its width if `first`.

        A task that needs more cores than any host has is dropped.
        """
        if cores > max(self.cores):
            return
        queue = self._queues.setdefault(max(1, cores), deque())
        (queue.appendleft if first else queue.append)(number)

    def next(self, wanted: Callable[[int], bool]) -> tuple[int, int] | None:
        """Return a task and its host, or `None` if none can start now.

        Tasks that are not `wanted` are dropped.
        """
        reserved = -1
        for cores in sorted(self._queues, reverse=True):
            queue = self._queues[cores]
            while queue and not wanted(queue[0]):
                queue.popleft()
            if not queue:
                continue
            hosts = (h for h in range(len(self.cores)) if h != reserved)
            host = self._most_free(hosts)
            if host >= 0 and self._free[host] >= cores:
                self._free[host] -= cores
                return queue.popleft(), host
            if reserved < 0:
                large = (h for h, n in enumerate(self.cores) if n >= cores)
                reserved = self._most_free(large)
        return None

    def release(self, host: int, cores: int) -> None:
        """Free the cores of a task that has ended."""
        self._free[host] += max(1, cores)

    def remove_host(self, host: int) -> None:
        """Remove a host, and drop the tasks that fit on no other."""
        self.cores[host] = self._free[host] = 0
        most = max(self.cores)
        self._queues = {k: v for k, v in self._queues.items() if k <= most}

    def _most_free(self, hosts: Iterable[int]) -> int:
        return max(hosts, key=self._free.__getitem__, default=-1)
