"""Segments dealt to whoever is free, each recorded; a bad file stops no other."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mpiapps.app.progress import Progress, compiling
from mpiapps.base import stopping
from mpiapps.base.errors import InputError
from mpiapps.comm.mpi import MPI
from mpiapps.comm.work import dealing
from mpiapps.comm.world import World
from mpiapps.farming.owner import Owner
from mpiapps.filework.ledger import Ledger
from mpiapps.filework.listing import Listing
from mpiapps.filework.operation import CallFailed, Operation, brief
from mpiapps.filework.segments import Segment, Segments, bundle, cut
from mpiapps.kernels.jit import is_cached

K = TypeVar("K", int, str)
V = TypeVar("V", bound=tuple[int, str])


@dataclass
class Found:
    """What came of it.

    Attributes
    ----------
    files : ndarray of int64
        Root only: the file of each result, by its place in the listing; ascending.
    values : sequence
        Root only: the results, those of a file in the order of its segments.
    wrong : dict of int to str
        Why files are bad, by their places in the listing; on all ranks.
    tracebacks : dict of int to str
        Of functions that failed: for each place in them the first of the bad files; on
        all ranks.
    left : int
        Segments that are not done, since the run was to stop.
    progress : float
        The part of them that is done, 0 to 1.
    """

    files: np.ndarray
    values: Any
    wrong: dict[int, str] = field(default_factory=dict)
    tracebacks: dict[int, str] = field(default_factory=dict)
    left: int = 0
    progress: float = 1.0

    def by_file(self) -> dict[int, list[Any]]:
        """Return the results of each good file. Root only."""
        pairs = zip(self.files.tolist(), self.values, strict=True)
        groups = groupby(pairs, key=lambda pair: pair[0])
        return {file: [value for _, value in group] for file, group in groups}


@dataclass(frozen=True)
class Run:
    """How files are gone through.

    Attributes
    ----------
    directory : str
        Of the journals; without one nothing is recorded, and it does not stop early.
    header : dict
        What the journals are of.
    strict : bool
        Whether a bad file ends the run.
    take_over : bool
        Whether to take the directory from a run on another host.
    """

    directory: str = ""
    header: dict[str, Any] = field(default_factory=dict)
    strict: bool = False
    take_over: bool = False


def share(world: World, listing: Listing, operation: Operation, how: Run) -> Found:
    """Do all segments of all files that are not done. Collective.

    Cost: a fetch-and-add of 8 bytes for each bundle of segments; a gather of the
    results to the root.

    Raises
    ------
    InputError
        If a file is bad and `how` is strict.
    """
    cold = any(not is_cached(each) for each in operation.kernels)
    with compiling(world, cold):
        operation.warm()
    with ExitStack() as stack:
        with world.timed("plan"):
            whole = [not operation.cuts(name) for name in listing.names]
            segments = cut(listing.sizes, np.array(whole, bool))
            known = _past(world, how, stack)
            done, old = _done(world, listing, segments, operation, known)
            ledger = stack.enter_context(Ledger(how.directory, how.header, world.rank))
            mine = _Mine(listing, segments, operation, ledger, how.strict)
            for n, value in old:
                mine.take(n, value)
        _deal(world, mine, segments, np.flatnonzero(~done), operation.opening)
        ledger.sync()
        with world.timed("gather"):
            return _gathered(world, listing, segments, done, mine)


def _past(world: World, how: Run, stack: ExitStack) -> dict[tuple[Any, ...], Any]:
    """Return what earlier runs recorded, on the root, which owns it. Collective."""
    known: dict[tuple[Any, ...], Any] = {}
    with world.agree():
        if how.directory and world.is_root:
            folder = Path(how.directory)
            stack.enter_context(Owner(folder / "owner", take_over=how.take_over))
            known = Ledger.past(folder, how.header)
    return known


def _done(
    world: World,
    listing: Listing,
    segments: Segments,
    operation: Operation,
    known: dict[tuple[Any, ...], Any],
) -> tuple[np.ndarray, list[tuple[int, Any]]]:
    """Return which segments are done, and on the root their results. Collective."""
    done = np.zeros(len(segments.file), bool)
    old: list[tuple[int, Any]] = []
    for n, key in enumerate(_keys(listing, segments) if known else ()):
        if key in known and operation.stands(known[key]):
            done[n] = True
            old.append((n, known[key]))
    world.comm.Bcast(done)
    return done, old


def _keys(listing: Listing, segments: Segments) -> list[tuple[Any, ...]]:
    """Return by what a segment is known again: name, size, time, and first byte."""
    sizes, times = listing.sizes.tolist(), listing.times.tolist()
    places = zip(segments.file.tolist(), segments.start.tolist(), strict=True)
    return [(listing.names[f], sizes[f], times[f], start) for f, start in places]


def _deal(
    world: World, mine: _Mine, segments: Segments, left: np.ndarray, opening: int
) -> None:
    """Do this rank's share of the segments that are left. Collective."""
    some = Segments(*(each[left] for each in segments))
    bundles = bundle(some, world.size, opening)
    sizes = some.stop - some.start
    total = int(sizes.sum()) / world.size
    with (
        dealing(world.comm, len(bundles)) as dealt,
        world.timed("kernel"),
        Progress(world, max(1, total), "the bytes", own=True) as progress,
    ):
        for n in dealt:
            if not mine.do(left[bundles[n]].tolist()):
                break
            progress.add(int(sizes[bundles[n]].sum()))


class _Mine:
    """What one rank does. Local."""

    def __init__(
        self,
        listing: Listing,
        segments: Segments,
        operation: Operation,
        ledger: Ledger,
        strict: bool,
    ) -> None:
        self.numbers: list[int] = []
        self.values: list[Any] = []
        self.wrong: Reasons = {}
        self.stacks: Stacks = {}
        self.operation = operation
        self._names, self._ledger, self._strict = listing.names, ledger, strict
        self._sizes, self._times = listing.sizes.tolist(), listing.times.tolist()
        self._segments = [each.tolist() for each in segments]

    def do(self, numbers: list[int]) -> bool:
        """Do some segments; return false if the run is to stop before them."""
        if self._ledger.stops and stopping.left() <= 0:
            return False
        segments = [self.segment(n) for n in numbers]
        found = self.operation.do_all(segments)
        for n, segment, value in zip(numbers, segments, found, strict=True):
            if isinstance(value, Exception):
                self._bad(segment, value)
                continue
            self._ledger.add(segment, self._times[segment.file], value)
            self.take(n, value, segment)
        return True

    def segment(self, n: int) -> Segment:
        """Return a segment by its number."""
        file, start, stop = (each[n] for each in self._segments)
        return Segment(file, self._names[file], start, stop, self._sizes[file])

    def take(self, n: int, value: Any, segment: Segment | None = None) -> None:
        """Take a result, of this run or an earlier one."""
        self.numbers.append(n)
        self.values.append(self.operation.kept(segment or self.segment(n), value))

    def _bad(self, segment: Segment, error: Exception) -> None:
        reason = reason_of(error)
        _put_least(self.wrong, segment.file, (segment.start, reason))
        lines = ""
        if isinstance(error, CallFailed) and error.traceback:
            lines = error.traceback
            _put_least(self.stacks, error.stack, (segment.file, lines))
        if self._strict:
            raise InputError(f"{segment.name}: {reason}\n{lines}".rstrip())


# The first byte and the reason, by the file; the file and its traceback, by the stack.
Reasons = dict[int, tuple[int, str]]
Stacks = dict[str, tuple[int, str]]


def _put_least(found: dict[K, V], key: K, value: V) -> None:
    """Keep the least value of a key, so that no order of the work shows."""
    found[key] = min(value, found.get(key, value))


def reason_of(error: Exception) -> str:
    """Return in a line what is wrong with a file. Local."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ModuleNotFoundError):
        return f"needs {error.name}: pip install 'mpiapps[files]'"
    if isinstance(error, EOFError | CallFailed) and (text := str(error)):
        return text.partition("\n")[0]
    return brief(error)


def _gathered(
    world: World, listing: Listing, segments: Segments, done: np.ndarray, mine: _Mine
) -> Found:
    """Bring the results to the root, those of bad files apart. Collective."""
    reasons: Reasons = {}
    stacks: Stacks = {}
    for reason, stack in world.objects.allgather((mine.wrong, mine.stacks)):
        for file, each in reason.items():
            _put_least(reasons, file, each)
        for lines, one in stack.items():
            _put_least(stacks, lines, one)
    wrong = listing.wrong | {file: reason for file, (_, reason) in reasons.items()}
    tracebacks = dict(stacks.values())
    bad = np.isin(segments.file, list(wrong))
    through = (done | bad).astype(np.uint8)
    through[mine.numbers] = 1
    world.comm.Allreduce(MPI.IN_PLACE, through, op=MPI.MAX)
    left = int((through == 0).sum())
    progress = 1 - left / max(1, len(through))
    part = np.array(mine.numbers, np.int64), mine.operation.pack(mine.values)
    gathered = world.objects.gather(part, root=world.root)
    if gathered is None:
        return Found(np.empty(0, np.int64), [], wrong, tracebacks, left, progress)
    numbers = np.concatenate([each for each, _ in gathered])
    order = np.argsort(numbers, kind="stable")
    order = order[~bad[numbers[order]]]
    values: Any
    if isinstance(gathered[0][1], np.ndarray):
        values = np.concatenate([each for _, each in gathered])[order]
    else:
        every = [value for _, each in gathered for value in each]
        values = [every[n] for n in order.tolist()]
    files = segments.file[numbers[order]]
    return Found(files, values, wrong, tracebacks, left, progress)
