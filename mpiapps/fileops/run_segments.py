"""Segments of files as tasks of the engine. A failed file stops no other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from mpiapps.app.context import RunContext
from mpiapps.base.errors import InputError
from mpiapps.comm.world import World
from mpiapps.fileops.listing import Listing
from mpiapps.fileops.operation import CallFailed, Operation, summarize_error
from mpiapps.fileops.segments import (
    Segment,
    Segments,
    bundle_segments,
    idle_parts,
    split_files,
    with_ranges,
)
from mpiapps.kernels.jit import is_cached
from mpiapps.tasks.engine import run_tasks
from mpiapps.tasks.executors import counter
from mpiapps.tasks.task_journal import TaskJournal
from mpiapps.tasks.task_set import TaskFailure, TaskSet


@dataclass(frozen=True)
class SegmentResults:
    """The results of an operation on files.

    Attributes
    ----------
    files : ndarray of int64
        Root only: index in the listing of each result's file, ascending.
    values : sequence
        Root only: the results, those of a file in the order of its segments.
    errors : dict of int to str
        Index of a failed file in the listing -> reason; on all ranks.
    tracebacks : dict of int to str
        Index of a failed file -> traceback of the user's function, for the first file
        of each call stack; on all ranks.
    segments : Segments
        Of all files; on all ranks.
    """

    files: np.ndarray
    values: Any
    errors: dict[int, str]
    tracebacks: dict[int, str]
    segments: Segments

    def by_file(self) -> dict[int, list[Any]]:
        """Return the results of each good file. Root only."""
        pairs = zip(self.files.tolist(), self.values, strict=True)
        groups = groupby(pairs, key=lambda pair: pair[0])
        return {file: [value for _, value in group] for file, group in groups}


def run_segments(
    ctx: RunContext,
    listing: Listing,
    operation: Operation,
    journal: TaskJournal,
    *,
    strict: bool = False,
) -> SegmentResults:
    """Run an operation on all segments of all files. Collective.

    Cost: a fetch-and-add of 8 bytes for each bundle of segments; a gather of the
    results to the root.

    Raises
    ------
    InputError
        If a file fails and `strict` is set.
    Checkpointed
        On all ranks, if the run stops before the end.
    """
    with ctx.compiling(any(not is_cached(kernel) for kernel in operation.kernels)):
        operation.warm_up()
    tasks = SegmentTasks(listing, operation, ctx.world.size, strict=strict)
    results = run_tasks(ctx, tasks, counter, journal)
    results.stop_if_remaining(ctx, "segments of files")
    errors, tracebacks = _failures(listing, tasks.segments, results.failures)
    files = tasks.segments.file[results.numbers]
    good = ~np.isin(files, list(errors))
    values = results.values
    if not good.all():
        values = [value for value, kept in zip(values, good, strict=True) if kept]
    return SegmentResults(files[good], values, errors, tracebacks, tasks.segments)


def _failures(
    listing: Listing, segments: Segments, failures: dict[int, TaskFailure]
) -> tuple[dict[int, str], dict[int, str]]:
    """Return the reasons of failed files, and a traceback for each call stack."""
    errors, tracebacks = dict(listing.errors), dict[int, str]()
    stacks = set[str]()
    for number in sorted(failures):
        failure, file = failures[number], int(segments.file[number])
        errors.setdefault(file, failure.reason)
        if failure.traceback and failure.stack not in stacks:
            stacks.add(failure.stack)
            tracebacks.setdefault(file, failure.traceback)
    return errors, tracebacks


def segments_of(listing: Listing, operation: Operation, ranks: int = 1) -> Segments:
    """Return the segments of the listed files for an operation. Local."""
    whole = [not operation.is_splittable(name) for name in listing.names]
    most = ranks if operation.splits_compressed else 1
    parts = np.where(whole, idle_parts(listing.sizes, most), 0)
    return split_files(listing.sizes, parts, operation.segment_factor)


class SegmentTasks(TaskSet):
    """The segments of files, as tasks for a number of ranks."""

    unit = "bytes"

    def __init__(
        self, listing: Listing, operation: Operation, ranks: int, *, strict: bool
    ) -> None:
        self._operation, self._strict = operation, strict
        self._names = listing.names
        self._sizes, self._times = listing.sizes.tolist(), listing.times.tolist()
        self._set_segments(segments_of(listing, operation, ranks))

    def _set_segments(self, segments: Segments) -> None:
        self.segments = segments
        self._files, self._starts, self._stops = (a.tolist() for a in segments)

    def adopt(self, world: World, keys: Collection[Any]) -> None:
        """Keep the segments of compressed files that earlier runs have recorded.

        Collective. Those runs may have had another number of ranks.
        """
        if not self._operation.splits_compressed:
            return
        recorded = defaultdict[tuple[Any, ...], list[tuple[int, int]]](list)
        for name, size, time, start, stop, *_ in keys:
            recorded[name, size, time].append((start, stop))
        kept = {}
        for n, name in enumerate(self._names) if recorded else ():
            ranges = recorded.get((name, self._sizes[n], self._times[n]))
            if not ranges or self._operation.is_splittable(name):
                continue
            # Not those of windows of another size.
            valid = [pair for pair in ranges if tuple(self._key(n, *pair)) in keys]
            if valid:
                kept[n] = valid
        if kept := world.comm.bcast(kept, root=world.root):
            self._set_segments(with_ranges(self.segments, self._sizes, kept))

    def __len__(self) -> int:
        """Return the number of segments."""
        return len(self._files)

    def run(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield the result or the failure of each segment."""
        segments = [self.segment(number) for number in numbers]
        results = self._operation.execute_all(segments)
        for number, segment, value in zip(numbers, segments, results, strict=True):
            if isinstance(value, Exception):
                yield self._failure(number, segment, value)
            else:
                yield value

    def segment(self, number: int) -> Segment:
        """Return a segment by its number."""
        file = self._files[number]
        bounds = self._starts[number], self._stops[number]
        return Segment(file, self._names[file], *bounds, self._sizes[file])

    def key(self, number: int) -> list[Any]:
        """Return name, size and time of the file, the first byte, the one after.

        For a part of a compressed file also the bytes of a window: which records belong
        to it depends on them.
        """
        return self._key(self._files[number], self._starts[number], self._stops[number])

    def _key(self, file: int, start: int, stop: int) -> list[Any]:
        name, size = self._names[file], self._sizes[file]
        key = [name, size, self._times[file], start, stop]
        whole = start == 0 and stop == size
        if not (whole or self._operation.is_splittable(name)):
            key.append(self._operation.window_bytes(size))
        return key

    def chunks(self, pending: np.ndarray, size: int) -> list[list[int]]:
        """Return the segments in bundles of about equal cost."""
        some = Segments(*(column[pending] for column in self.segments))
        bundles = bundle_segments(some, size, self._operation.open_cost)
        return [pending[indices].tolist() for indices in bundles]

    def cost(self, numbers: Sequence[int]) -> float:
        """Return the bytes of segments."""
        return float(sum(self._stops[n] - self._starts[n] for n in numbers))

    def is_valid(self, number: int, value: Any) -> bool:
        """Return whether what an earlier run recorded still holds. Root only."""
        del number
        return self._operation.is_still_valid(value)

    def for_root(self, number: int, value: Any) -> Any:
        """Return the part of a result that the root needs."""
        return self._operation.for_root(self.segment(number), value)

    def pack(self, values: list[Any]) -> Any:
        """Return results as they are sent."""
        return self._operation.pack(values)

    def _failure(self, number: int, segment: Segment, error: Exception) -> TaskFailure:
        reason = reason_of(error)
        stack, text = "", ""
        if isinstance(error, CallFailed) and error.traceback:
            stack, text = error.stack, error.traceback
        if self._strict:
            raise InputError(f"{segment.name}: {reason}\n{text}".rstrip())
        return TaskFailure(number, reason, stack, text)


def reason_of(error: Exception) -> str:
    """Return the one-line reason why a file failed."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, ModuleNotFoundError):
        return f"needs {error.name}: pip install 'mpiapps[files]'"
    if isinstance(error, EOFError | CallFailed) and (text := str(error)):
        return text.partition("\n")[0]
    return summarize_error(error)
