"""Chunks of the items of one call. Starts no MPI."""

from __future__ import annotations

import itertools
import operator
import sys
from collections.abc import Iterable, Sized
from contextlib import suppress
from typing import Any

from mpiapps.comm.pickling import SIGNALS

GUIDED = "guided"
CHUNKS_PER_WORKER = 4  # default, as in multiprocessing.Pool.map


class Chunker:
    """Splits an iterable into chunks, lazily.

    Parameters
    ----------
    items : iterable
    chunksize : int, "guided" or None
        Items per chunk. ``"guided"``: half of an equal share of the remaining items.
        None: a quarter of a worker's share.
    workers : int

    Attributes
    ----------
    error : BaseException or None
        Raised by the iterable, which then yields no more items.

    Raises
    ------
    ValueError
        If `chunksize` is invalid, or needs the length of an iterable that has none.
    """

    def __init__(
        self, items: Iterable[Any], chunksize: int | str | None, workers: int
    ) -> None:
        self._remaining = length(items)
        if chunksize in (None, GUIDED) and self._remaining is None:
            raise ValueError(
                f"chunksize {chunksize!r} needs items with a length, and"
                f" {type(items)} has none: give a number of tasks, or a list"
            )
        if chunksize is None:
            chunks = CHUNKS_PER_WORKER * workers
            chunksize = max(1, -(-(self._remaining or 0) // chunks))
        self.chunksize = validated_chunksize(chunksize)
        self._workers = workers
        self._items = iter(items)
        self.error: BaseException | None = None

    @property
    def has_length(self) -> bool:
        """Whether the iterable has a length."""
        return self._remaining is not None

    def next(self) -> list[Any]:
        """Return the items of the next chunk; an empty list at the end."""
        size = self.chunksize
        if isinstance(size, str):
            size = max(1, (self._remaining or 0) // (2 * self._workers))
        items: list[Any] = []
        if self.error is None:
            try:
                items.extend(itertools.islice(self._items, size))
            except (KeyboardInterrupt, *SIGNALS):
                raise
            except BaseException as error:  # `items` has those before it
                self.error = error
        if self._remaining is not None:
            self._remaining -= len(items)
        return items


def length(items: Iterable[Any]) -> int | None:
    """Return ``len(items)``, or None if it is not available."""
    try:
        return len(items) if isinstance(items, Sized) else None
    except Exception:  # such as a wrapper of an object without a length
        return None


def validated_chunksize(chunksize: int | str) -> int | str:
    """Return a valid chunk size, or raise `ValueError`."""
    if isinstance(chunksize, str):
        if chunksize == GUIDED:
            return chunksize
    else:
        with suppress(TypeError):
            if 1 <= (size := operator.index(chunksize)) <= sys.maxsize:
                return size
    raise ValueError(
        f"chunksize {chunksize!r} must be 1 or more, or {GUIDED!r}: a whole number of"
        f" tasks, and at most {sys.maxsize}"
    )
