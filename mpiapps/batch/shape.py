"""The shape of a job: how many ranks, on how many hosts."""

from __future__ import annotations

from dataclasses import dataclass

from mpiapps.base.errors import UsageError


@dataclass(frozen=True)
class Shape:
    """The ranks of a job and their hosts.

    Attributes
    ----------
    ranks : int
        Number of ranks.
    hosts : int
        Number of hosts; 0: as many as the scheduler selects.
    ranks_per_host : int
        Ranks on each host but the last, which may have fewer; 0: as the scheduler
        selects.
    """

    ranks: int
    hosts: int
    ranks_per_host: int

    @property
    def is_even(self) -> bool:
        """Whether all hosts have the same number of ranks."""
        return self.ranks == self.hosts * self.ranks_per_host

    @property
    def max_hosts(self) -> int:
        """The number of hosts, or the largest that the scheduler may select."""
        return self.hosts or self.ranks

    @property
    def last(self) -> int:
        """The number of ranks on the last host; 0 if the scheduler selects."""
        return self.ranks - (self.hosts - 1) * self.ranks_per_host if self.hosts else 0

    def __str__(self) -> str:
        """Return the shape in words, such as ``4 ranks on 2 hosts``."""
        ranks = _count(self.ranks, "rank")
        if not self.hosts:
            return f"{ranks} on any hosts"
        most = "" if self.is_even else f", at most {self.ranks_per_host} per host"
        return f"{ranks} on {_count(self.hosts, 'host')}{most}"


def shape_of(nodes: int, ranks_per_node: int, ranks: int) -> Shape:
    """Return the shape of ``--nodes``, ``--ranks-per-node`` and ``--ranks``; 0: absent.

    Raises
    ------
    UsageError
        If the three contradict.
    """
    if not ranks:
        nodes, ranks_per_node = nodes or 1, ranks_per_node or 1
        return Shape(nodes * ranks_per_node, nodes, ranks_per_node)
    if not (nodes or ranks_per_node or ranks == 1):
        return Shape(ranks, 0, 0)
    each = min(ranks, ranks_per_node or -(-ranks // (nodes or 1)))
    hosts = -(-ranks // each)
    if nodes not in (0, hosts):
        given = f" --ranks-per-node {ranks_per_node}" if ranks_per_node else ""
        raise UsageError(
            f"--ranks {ranks} --nodes {nodes}{given}: {_count(ranks, 'rank')}, {each}"
            f" per host, need {_count(hosts, 'host')}; use --nodes {hosts}, or leave"
            " out one of these options"
        )
    return Shape(ranks, hosts, each)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")
