"""Files cut into segments, and segments packed into bundles of about equal cost.

Every rank computes the same from the same listing, so nothing is sent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST, MOST = 2**22, 2**26  # bytes of a segment of a file that is cut
CUTS = 256  # segments of a file, about, between these
OPENING = 2**15  # bytes that could be read while a file is opened
SHARES = 32  # bundles for each rank, so that the last ones end together


class Segment(NamedTuple):
    """Some bytes of a file.

    Attributes
    ----------
    file : int
        Its place in the listing.
    name : str
    start, stop, size : int
        The bytes, and those of the whole file.
    """

    file: int
    name: str
    start: int
    stop: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether it is all of the file."""
        return self.start == 0 and self.stop == self.size


class Segments(NamedTuple):
    """The segments of a run, in the order of the files; arrays of int64."""

    file: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def cut(sizes: np.ndarray, whole: np.ndarray | None = None) -> Segments:
    """Return the segments of files. Local.

    The cuts depend on a file's size alone, so that a run on other ranks, or after a
    stop, has the same.

    Parameters
    ----------
    sizes : ndarray of int64
        Bytes; files of less than 0 have no segment, those of 0 an empty one.
    whole : ndarray of bool, optional
        Files that are not cut.
    """
    piece = np.clip(sizes // CUTS, LEAST, MOST)
    if whole is not None:
        piece = np.where(whole, np.maximum(sizes, 1), piece)
    counts = np.where(sizes < 0, 0, np.maximum(1, -(-sizes // piece)))
    file = np.repeat(np.arange(len(sizes)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    start = (np.arange(len(file)) - first) * piece[file]
    return Segments(file, start, np.minimum(start + piece[file], sizes[file]))


def bundle(segments: Segments, ranks: int, opening: int = OPENING) -> list[np.ndarray]:
    """Return the numbers of the segments of each bundle, the dearest first. Local.

    Neighbours are packed together up to an equal share of a part of the work; what is
    dearer alone stays alone. `opening`: bytes that could be worked on while a file is
    opened.
    """
    cost = segments.stop - segments.start + opening
    if not len(cost):
        return []
    share = max(opening, min(MOST, int(cost.sum()) // (SHARES * ranks)))
    ends = np.cumsum(cost)
    cuts = np.flatnonzero(np.diff((ends - cost) // share)) + 1
    found = np.split(np.arange(len(cost)), cuts)
    total = np.add.reduceat(cost, np.concatenate(([0], cuts)))
    return [found[n] for n in np.argsort(-total, kind="stable")]
