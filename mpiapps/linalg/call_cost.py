"""Time of collective calls by the algorithms of Open MPI; needs no MPI.

On a network whose links the ranks do not share. Formulas: Thakur, Rabenseifner, Gropp,
Optimization of collective communication operations in MPICH, IJHPCA 19 (2005);
thresholds: Open MPI's coll/tuned, its fixed decisions.
"""

from __future__ import annotations

from typing import NamedTuple

SEGMENT = 2**17  # bytes of a message of a pipelined broadcast
SMALL_BROADCAST = 2**16  # bytes, below which a broadcast is a binomial tree
SMALL_REDUCTION = 10_000  # bytes, below which an all-reduce is recursive doubling


class Network(NamedTuple):
    """Speed of messages.

    Attributes
    ----------
    bandwidth : float
        byte/s.
    latency, near_latency : float
        s of a message, and of one between two of `near_ranks` successive ranks.
    near_ranks : int
    """

    bandwidth: float
    latency: float
    near_latency: float
    near_ranks: int

    def tree(self, ranks: int) -> float:
        """Return the latency of rounds over distances of 1, 2, 4, ... ranks, in s."""
        rounds = (ranks - 1).bit_length()
        near = min(rounds, self.near_ranks.bit_length() - 1)
        return near * self.near_latency + (rounds - near) * self.latency

    def neighbours(self, ranks: int) -> float:
        """Return the latency of messages of all ranks to their next one, in s."""
        return self.near_latency if ranks <= self.near_ranks else self.latency


class Call(NamedTuple):
    """A collective call, or an exchange of messages, of one rank.

    Attributes
    ----------
    op : {"bcast", "allgather", "allreduce", "gather", "scatter", "exchange"}
    ranks : int
        That take part: one more than the messages of an exchange.
    size : int
        Bytes of the whole: of the array that is broadcast or reduced; of the blocks of
        all ranks; of all messages of an exchange.
    """

    op: str
    ranks: int
    size: int

    def seconds(self, network: Network) -> float:
        """Return the time on a network."""
        p, whole = self.ranks, self.size / network.bandwidth
        if p == 1:
            return 0.0
        tree, latency = network.tree(p), network.neighbours(p)
        rounds = (p - 1).bit_length()
        small = {"bcast": SMALL_BROADCAST, "allreduce": SMALL_REDUCTION}
        if self.size < small.get(self.op, 0):  # binomial tree, recursive doubling
            return tree + rounds * whole
        if self.op == "bcast":
            filling = latency + SEGMENT / network.bandwidth  # of a rank of the chain
            return latency + whole + (p - 2) * filling
        if self.op == "allreduce":
            return 2 * (p - 1) * (latency + whole / p)  # two rings
        if self.op in {"gather", "scatter"}:
            return tree + whole * (1 - 1 / p)
        # Exchanges send their bytes, an all-gather all but a rank's own.
        sent = whole if self.op == "exchange" else whole * (1 - 1 / p)
        return (p - 1) * latency + sent
