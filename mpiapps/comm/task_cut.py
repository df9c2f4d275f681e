"""Items of a call cut into chunks. Starts no MPI."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sized
from contextlib import suppress
from typing import Any

from mpiapps.comm.packing import SIGNALS

GUIDED = "guided"
ROUNDS = 4  # of chunks for each worker that items are cut into, as Pool.map does


class Cut:
    """Cuts items into chunks, as they are asked for. Local.

    Parameters
    ----------
    items : iterable
    size : int, "guided" or None
        Of a chunk; a share of what is left; or a quarter of a worker's share.
    workers : int

    Attributes
    ----------
    error : BaseException or None
        What the items raised; there are no more then.

    Raises
    ------
    ValueError
        If the size is not one of these, or needs a length that the items do not have.
    """

    def __init__(
        self, items: Iterable[Any], size: int | str | None, workers: int
    ) -> None:
        self._left = length(items)
        if size in (None, GUIDED) and self._left is None:
            raise ValueError(
                f"chunksize {size!r} needs items with a length, and {type(items)} has"
                " none: give a number of tasks, or a list"
            )
        if size is None:
            size = max(1, -(-(self._left or 0) // (ROUNDS * workers)))
        self.size = checked_size(size)
        self._workers = workers
        self._items = iter(items)
        self.error: BaseException | None = None

    def next(self) -> list[Any]:
        """Return the next items; none at the end. Local."""
        size = self.size
        if isinstance(size, str):  # half of an equal share of what is left
            size = max(1, (self._left or 0) // (2 * self._workers))
        items: list[Any] = []
        if self.error is None:
            try:
                for item in itertools.islice(self._items, size):
                    items.append(item)  # noqa: PERF402 - those before an error count
            except (KeyboardInterrupt, *SIGNALS):
                raise
            except BaseException as error:
                self.error = error
        if self._left is not None:
            self._left -= len(items)
        return items


def length(items: Iterable[Any]) -> int | None:
    """Return how many items there are, or ``None`` if that cannot be taken. Local."""
    try:
        return len(items) if isinstance(items, Sized) else None
    except Exception:  # there is none, or it is that of something without one
        return None


def checked_size(size: int | str) -> int | str:
    """Return a chunk size that can be used, or raise `ValueError`. Local."""
    if isinstance(size, str):
        if size == GUIDED:
            return size
    else:
        with suppress(TypeError):
            if (whole := operator.index(size)) >= 1:
                return whole
    raise ValueError(
        f"chunksize {size!r} must be 1 or more, or {GUIDED!r}: a whole number of tasks"
    )
