"""Files split into segments, and segments packed into bundles of about equal cost.

All ranks compute the same from the same listing, without communication.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

MIN_SEGMENT_BYTES, MAX_SEGMENT_BYTES = 2**22, 2**26  # of a file that is split
SEGMENTS_PER_FILE = 256  # approximate number, within these limits
OPEN_COST = 2**15  # bytes that can be read in the time to open a file
BUNDLES_PER_RANK = 32  # for load balance at the end
MIN_COMPRESSED_BYTES = 2**20  # of a segment of a compressed file
MAX_DECOMPRESSIONS = 16  # of one file; more ranks would have little else to do


class Segment(NamedTuple):
    """A byte range of a file.

    Attributes
    ----------
    file : int
        Index in the listing.
    name : str
    start, stop, size : int
        The range, and the size of the whole file, in bytes. Of a compressed file, a
        range is a part of its content (`windows.has_window`).
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


def split_files(
    sizes: np.ndarray, parts: np.ndarray | None = None, factor: int = 1
) -> Segments:
    """Return the segments of files.

    Without `parts` they depend on the sizes alone, so that a run on another number of
    ranks, or a resumed one, has the same segments.

    Parameters
    ----------
    sizes : ndarray of int64
        Bytes; a negative size gives no segment, 0 gives one empty segment.
    parts : ndarray of int64, optional
        Maximum number of segments of each file; 0: as many as its size gives.
    factor : int
        Of the least number of bytes in a segment.
    """
    least = factor * MIN_SEGMENT_BYTES
    length = np.clip(sizes // SEGMENTS_PER_FILE, least, MAX_SEGMENT_BYTES)
    if parts is not None:
        equal = np.maximum(-(-sizes // np.maximum(parts, 1)), 1)
        length = np.where(parts > 0, equal, length)
    counts = np.where(sizes < 0, 0, np.maximum(1, -(-sizes // length)))
    file = np.repeat(np.arange(len(sizes)), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    start = (np.arange(len(file)) - first) * length[file]
    return Segments(file, start, np.minimum(start + length[file], sizes[file]))


def idle_parts(sizes: np.ndarray, ranks: int) -> np.ndarray:
    """Return into how many segments compressed files are split, for idle ranks.

    As many as ranks have an equal share of all bytes in a file; 1 if it is less.
    """
    most = np.clip(sizes // MIN_COMPRESSED_BYTES, 1, MAX_DECOMPRESSIONS)
    shares = ranks * sizes // max(1, int(sizes.clip(0).sum()))
    parts: np.ndarray = np.minimum(np.maximum(shares, 1), most)
    return parts


def with_ranges(
    segments: Segments, sizes: np.ndarray, kept: Mapping[int, Sequence[tuple[int, int]]]
) -> Segments:
    """Return segments in which some files have given ranges.

    What lies between these is split into segments as long as those of the file before.
    An empty file has one segment in any case.
    """
    kept = {file: ranges for file, ranges in kept.items() if sizes[file] > 0}
    others = np.stack(segments, axis=1)[~np.isin(segments.file, list(kept))]
    firsts = np.searchsorted(segments.file, list(kept))
    lengths = (segments.stop - segments.start)[firsts].tolist()
    split = list[tuple[int, int, int]]()
    for (file, ranges), length in zip(kept.items(), lengths, strict=True):
        size, end = int(sizes[file]), 0
        for start, stop in [*sorted(ranges), (size, size)]:
            between = range(end, start, length)
            split += [(file, n, min(n + length, start)) for n in between]
            if end <= start < stop:
                split.append((file, start, stop))
                end = stop
    rows = np.concatenate([others, np.array(split, np.int64).reshape(-1, 3)])
    return Segments(*rows[np.lexsort((rows[:, 1], rows[:, 0]))].T)


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
