"""A schedule on a platform, as the simulator replays it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PICKLED_INT = 5  # bytes


@dataclass(frozen=True)
class Case:
    """A schedule on a platform.

    Attributes
    ----------
    traces : iterable of iterable of str
        Of each rank.
    hosts : list of int
        Of each rank.
    received : int
        Bytes of one rank.
    useful : float
        s of computation of a rank.
    planned : float, optional
        s, by ``--plan --platform``.
    """

    traces: Iterable[Iterable[str]]
    hosts: list[int]
    received: int
    useful: float
    planned: float | None = None
