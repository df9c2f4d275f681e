"""Moving elements between distributed matrices, from any indices to any indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np

from mpiapps.comm.chunking import Array
from mpiapps.launch.mpi import MPI
from mpiapps.linalg.axis import Axis
from mpiapps.linalg.block_messages import exchange
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.selection import Indices

Part = slice | Array  # indices; a slice where possible, which NumPy copies fastest
Block = tuple[Array, tuple[Part, Part]]  # a local block, and indices of elements
NONE = slice(0, 0)
MAX_CACHED = 2**14  # indices of an axis whose overlaps are kept, of small matrices
MIN_RUN = 16  # indices: shorter runs are copied element by element


class Elements(NamedTuple):
    """The elements ``(rows[k], cols[l])`` of a matrix, with this rank's local block."""

    local: Array
    layout: Layout
    rows: Indices
    cols: Indices

    @classmethod
    def all(cls, local: Array, layout: Layout) -> Elements:
        """Return all elements of a matrix."""
        m, n = layout.shape
        return cls(local, layout, range(m), range(n))


@dataclass(frozen=True)
class AxisMove:
    """Indices of a source axis, and the indices of a target axis that they move to.

    ``source_indices[k]`` moves to ``target_indices[k]``. All methods are local.
    """

    source: Axis
    source_indices: Indices
    target: Axis
    target_indices: Indices

    def sent(self, coord: int) -> Sequence[Part]:
        """Return the local indices that `coord` sends to each target coordinate."""
        if self._keeps_indices():
            is_small = self.source.n <= MAX_CACHED
            overlaps = _kept_overlaps if is_small else _overlaps
            return overlaps(self.source, coord, self.target)
        numbers = _owned(self.source, self.source_indices, coord)
        owners = self.target.owner(_at(self.target_indices, numbers))
        local = self.source.local(_at(self.source_indices, numbers))
        others = range(self.target.procs)
        return [_part(local[owners == other]) for other in others]

    def _keeps_indices(self) -> bool:
        """Return whether every index moves to itself."""
        source, target = self.source_indices, self.target_indices
        return (
            isinstance(source, range)
            and isinstance(target, range)
            and source == target == range(self.source.n)
            and self.target.n == self.source.n
        )

    def received(self, coord: int) -> Sequence[Part]:
        """Return the local indices that each source coordinate sends to `coord`."""
        return AxisMove(
            self.target, self.target_indices, self.source, self.source_indices
        ).sent(coord)


def _overlaps(source: Axis, coord: int, target: Axis) -> Sequence[Part]:
    """Return the local indices of `coord` that each coordinate of `target` owns."""
    others = range(target.procs)
    return tuple(source.overlap(coord, target, other) for other in others)


_kept_overlaps = lru_cache(256)(_overlaps)


def _owned(axis: Axis, indices: Indices, coord: int) -> Array:
    """Return the ascending numbers k for which `coord` owns ``indices[k]``."""
    if not isinstance(indices, range):
        return np.flatnonzero(axis.owner(indices) == coord)
    numbers = axis.indices(coord) - indices.start
    if indices.step != 1:
        numbers, rest = np.divmod(numbers, indices.step)
        numbers = numbers[rest == 0]
    numbers = numbers[(numbers >= 0) & (numbers < len(indices))]
    return numbers if indices.step > 0 else numbers[::-1]


def _at(indices: Indices, numbers: Array) -> Array:
    if isinstance(indices, range):
        return indices.start + indices.step * numbers
    return indices[numbers]


def _part(local: Array) -> Part:
    """Return local indices as a slice, if they have a positive step."""
    if local.size == 0:
        return NONE
    first, last = int(local[0]), int(local[-1])
    step = int(local[1]) - first if local.size > 1 else 1
    if step > 0 and np.array_equal(local, np.arange(first, last + 1, step)):
        return slice(first, last + 1, step)
    return local


def owned(elements: Elements, rank: int) -> tuple[Any, Any]:
    """Return the elements that `rank` owns, as indices of two arrays. Local.

    The first index is for the local block, the second for an array of all elements.
    """
    _, layout, rows, cols = elements
    coords = layout.coords(rank)
    if coords is None:
        return (NONE, NONE), (NONE, NONE)
    numbers = (
        _owned(layout.rows, rows, coords[0]),
        _owned(layout.cols, cols, coords[1]),
    )
    local = (
        layout.rows.local(_at(rows, numbers[0])),
        layout.cols.local(_at(cols, numbers[1])),
    )
    return (
        _index((_part(local[0]), _part(local[1]))),
        _index((_part(numbers[0]), _part(numbers[1]))),
    )


def own_part(layout: Layout, rank: int) -> Any:
    """Return the index of a rank's block in the whole matrix. Local."""
    return _index(_own_pair(layout, rank))


def put_part(whole: Array, layout: Layout, rank: int, block: Array) -> None:
    """Set the part of the whole matrix that is a rank's block. Local."""
    _put(whole, _own_pair(layout, rank), block)


def _own_pair(layout: Layout, rank: int) -> tuple[Part, Part]:
    coords = layout.coords(rank)
    if coords is None:
        return NONE, NONE
    whole = Layout.on_one(layout.shape, 0)
    return (
        whole.rows.overlap(0, layout.rows, coords[0]),
        whole.cols.overlap(0, layout.cols, coords[1]),
    )


def move(comm: MPI.Intracomm, source: Elements, target: Elements) -> None:
    """Copy elements of one distributed matrix to those of another. Collective.

    Element (k, l) of the source becomes element (k, l) of the target; no target index
    occurs twice. The local blocks may differ in dtype and layout, but must not share
    memory. Layouts and indices are the same on all ranks.

    Notes
    -----
    Each element that changes ranks is sent once, in at most one message per pair of
    ranks and GiB, and received directly into the target block where that part is
    contiguous and has the same dtype. Workspace: the elements that one pair of ranks
    exchanges, and the indices of the local rows and columns.
    """
    old, new = source.layout, target.layout
    rows = AxisMove(old.rows, source.rows, new.rows, target.rows)
    cols = AxisMove(old.cols, source.cols, new.cols, target.cols)
    own, place = old.coords(comm.rank), new.coords(comm.rank)
    sent = (rows.sent(own[0]), cols.sent(own[1])) if own else None
    received = (rows.received(place[0]), cols.received(place[1])) if place else None
    _copy_own((source.local, _pair(sent, place)), (target.local, _pair(received, own)))
    for shift in range(1, comm.size):
        to, origin = (comm.rank + shift) % comm.size, (comm.rank - shift) % comm.size
        out = _taken(source.local, _pair(sent, new.coords(to)))
        put = _pair(received, old.coords(origin))
        part = _receive_buffer(target.local, put, source.local.dtype)
        exchange(comm, to, np.ascontiguousarray(out), origin, part)
        if part.size and not np.may_share_memory(part, target.local):
            _put(target.local, put, part)


def _copy_own(source: Block, target: Block) -> None:
    """Copy the elements that stay on this rank, at once if they need no index array."""
    (local, taken), (into, put) = source, target
    if all(isinstance(indices, slice) for indices in put):
        _taken(local, taken, out=into[put])
    else:
        _put(into, put, _taken(local, taken))


def _receive_buffer(local: Array, pair: tuple[Part, Part], dtype: Any) -> Array:
    """Return the elements at `pair` if MPI can receive them there, else a new array."""
    if all(isinstance(indices, slice) for indices in pair):
        elements = local[pair]
        if elements.flags.c_contiguous and elements.dtype == dtype:
            return elements
    return np.empty(_size(pair), dtype)


def _pair(
    parts: tuple[Sequence[Part], Sequence[Part]] | None, coords: tuple[int, int] | None
) -> tuple[Part, Part]:
    """Return the local rows and columns exchanged with the rank at `coords`."""
    if parts is None or coords is None:
        return NONE, NONE
    return parts[0][coords[0]], parts[1][coords[1]]


def _taken(local: Array, pair: tuple[Part, Part], out: Array | None = None) -> Array:
    """Return the elements at `pair`, in `out`, or else a view if both are slices."""
    runs = _runs(pair)
    if not runs:
        part = np.asarray(local[_index(pair)])
        if out is None:
            return part
        out[...] = part
        return out
    if out is None:
        out = np.empty(_size(pair), local.dtype)
    for index, packed in runs:
        out[packed] = local[index]
    return out


def _put(local: Array, pair: tuple[Part, Part], part: Array) -> None:
    """Set the elements at `pair`."""
    for index, packed in _runs(pair) or [(_index(pair), ...)]:
        local[index] = part[packed]


def _runs(pair: tuple[Part, Part]) -> list[tuple[Any, Any]]:
    """Return indices of blocks of adjacent elements, and of the same in a packed array.

    None if both parts are slices, or blocks are small: NumPy copies arrays of indices
    element by element, which is slower for large blocks only.
    """
    sides = [_axis_runs(part) for part in pair]
    if not all(sides) or all(isinstance(part, slice) for part in pair):
        return []
    return [((rows[0], cols[0]), (rows[1], cols[1])) for rows, cols in product(*sides)]


def _axis_runs(part: Part) -> list[tuple[slice, slice]]:
    """Return the runs of adjacent indices, local and packed; none if they are short."""
    if isinstance(part, slice):
        return [(part, slice(None))]
    ends = np.flatnonzero(np.diff(part) != 1) + 1
    if part.size < MIN_RUN * (len(ends) + 1):
        return []
    bounds = [0, *ends.tolist(), part.size]
    starts = part[bounds[:-1]].tolist()
    return [
        (slice(first, first + stop - start), slice(start, stop))
        for first, (start, stop) in zip(starts, pairwise(bounds), strict=True)
    ]


def _index(pair: tuple[Part, Part]) -> Any:
    """Return rows and columns as one index."""
    rows, cols = pair
    if isinstance(rows, np.ndarray) and isinstance(cols, np.ndarray):
        return np.ix_(rows, cols)
    return pair


def _size(pair: tuple[Part, Part]) -> tuple[int, int]:
    rows, cols = (
        len(range(part.start, part.stop, part.step or 1))
        if isinstance(part, slice)
        else part.size
        for part in pair
    )
    return rows, cols
