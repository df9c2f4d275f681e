"""Which task begins next, and on which host: processors as they become free."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence


class Places:
    """The processors of the hosts, and the tasks that wait for them. Local.

    Parameters
    ----------
    cores : sequence of int
        Of each host.

    Notes
    -----
    The widest task that waits goes first, tasks of one width in their order; narrower
    ones fill what it cannot use. While it fits nowhere, one host is kept from the
    others, so that it comes to its turn. Of the hosts that fit, the freest.
    """

    def __init__(self, cores: Sequence[int]) -> None:
        self.cores = list(cores)
        self._free = list(cores)
        self._waiting: dict[int, deque[str]] = {}

    def __len__(self) -> int:
        """Return how many tasks wait."""
        return sum(map(len, self._waiting.values()))

    def wait(self, name: str, cores: int, *, first: bool = False) -> None:
        """Let a task wait, before the others of its width if it is to be `first`.

        Raises
        ------
        ValueError
            If no host has so many processors.
        """
        if cores > max(self.cores):
            raise ValueError(
                f"needs {cores} cores, and the largest host has {max(self.cores)}"
            )
        queue = self._waiting.setdefault(max(1, cores), deque())
        (queue.appendleft if first else queue.append)(name)

    def next(self, wanted: Callable[[str], bool]) -> tuple[str, int] | None:
        """Return a task and its host, or `None` if none can begin now.

        Tasks that are not `wanted` any more are dropped.
        """
        kept = -1
        for cores in sorted(self._waiting, reverse=True):
            queue = self._waiting[cores]
            while queue and not wanted(queue[0]):
                queue.popleft()
            if not queue:
                continue
            hosts = (h for h in range(len(self.cores)) if h != kept)
            host = self._freest(hosts)
            if host >= 0 and self._free[host] >= cores:
                self._free[host] -= cores
                return queue.popleft(), host
            if kept < 0:
                large = (h for h, n in enumerate(self.cores) if n >= cores)
                kept = self._freest(large)
        return None

    def release(self, host: int, cores: int) -> None:
        """Give back what a task has used."""
        self._free[host] += max(1, cores)

    def lose(self, host: int) -> None:
        """Use a host no more, and drop tasks that fit no other one."""
        self.cores[host] = self._free[host] = 0
        most = max(self.cores)
        self._waiting = {k: v for k, v in self._waiting.items() if k <= most}

    def _freest(self, hosts: Iterable[int]) -> int:
        return max(hosts, key=self._free.__getitem__, default=-1)
