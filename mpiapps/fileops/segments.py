"""Files split into segments, and segments packed into bundles of about equal cost.

All ranks compute the same from the same listing, without communication.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES = 2**22, 2**26  # of a file that is split
SEGMENTS_PER_FILE = 256  # approximate number, within these limits
OPEN_COST = 2**15  # bytes that can be read in the time to open a file
BUNDLES_PER_RANK = 32  # for load balance at the end


class Segment(NamedTuple):
    """A byte range of a file.

    Attributes
    ----------
    file : int
        Index in the listing.
    name : str
    start, stop, size : int
        The range, and the size of the whole file, in bytes.
    """

    file: int
    name: str
    start: int
    stop: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether the segment is the whole file."""
        return self.start == 0 and self.stop == self.size


class Segments(NamedTuple):
    """The segments of a run in the order of the files, as arrays of int64."""

    file: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def split_files(sizes: np.ndarray, whole: np.ndarray | None = None) -> Segments:
    """Return the segments of files.

    They depend on the sizes alone, so that a run on another number of ranks, or a
    resumed one, has the same segments.

    Parameters
    ----------
    sizes : ndarray of int64
        Bytes; a negative size gives no segment, 0 gives one empty segment.
    whole : ndarray of bool, optional
        Files that are not split.
    """
    length = np.clip(sizes // SEGMENTS_PER_FILE, MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES)
    if whole is not None:
        length = np.where(whole, np.maximum(sizes, 1), length)
    counts = np.where(sizes < 0, 0, np.maximum(1, -(-sizes // length)))
    file = np.repeat(np.arange(len(sizes)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    start = (np.arange(len(file)) - first) * length[file]
    return Segments(file, start, np.minimum(start + length[file], sizes[file]))


def bundle_segments(
    segments: Segments, ranks: int, open_cost: int = OPEN_COST
) -> list[np.ndarray]:
    """Return the indices of the segments of each bundle, most expensive bundle first.

    Neighbouring segments are packed up to an equal share of the total cost; a segment
    that costs more is a bundle by itself.

    Parameters
    ----------
    segments : Segments
    ranks : int
    open_cost : int
        Cost of opening a file, in bytes of work.
    """
    cost = segments.stop - segments.start + open_cost
    if not len(cost):
        return []
    equal_share = int(cost.sum()) // (BUNDLES_PER_RANK * ranks)
    share = max(open_cost, min(MAX_SEGMENT_BYTES, equal_share))
    ends = np.cumsum(cost)
    splits = np.flatnonzero(np.diff((ends - cost) // share)) + 1
    bundles = np.split(np.arange(len(cost)), splits)
    total = np.add.reduceat(cost, np.concatenate(([0], splits)))
    return [bundles[n] for n in np.argsort(-total, kind="stable")]
