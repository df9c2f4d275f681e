"""A user's function called with files, or with ranges of their lines."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import MpiAppsError
from mpiapps.base.optional import resolve_callable
from mpiapps.fileops.operation import CallFailed, Operation
from mpiapps.fileops.reading import SegmentReader, iter_lines
from mpiapps.fileops.segments import Segment
from mpiapps.launch.forks import end_child, forks
from mpiapps.launch.signals import is_signal


class MapFunction(Operation):
    """Call a user's function.

    Any failure of the function is confined to its file: also `SystemExit`, a forked
    child process that returns, a changed working directory.

    Parameters
    ----------
    name : str
        ``module:function``; the module may be in the working directory.
    records : bool
        Whether to pass an iterator over the lines (bytes, without their ends) of a
        range of the file, instead of the file's name.

    Raises
    ------
    UsageError
        If the function does not exist.
    """

    def __init__(self, name: str, *, records: bool) -> None:
        self._name, self._function = name, resolve_callable(name)
        self._records = records
        self._reader = SegmentReader()
        self._forks, self._directory = forks(), Path.cwd()

    def is_splittable(self, name: str) -> bool:
        """Return whether the function takes lines, and the file may be split."""
        return self._records and self._reader.is_splittable(name)

    def execute(self, segment: Segment) -> Any:
        """Return the function's result, converted to JSON types.

        Raises
        ------
        CallFailed
            If the function raises, or its result is not JSON-serialisable.
        """
        failure: BaseException | None = None
        try:
            value = self._call(segment)
        except BaseException as error:
            if is_signal(error):
                raise
            failure = error
        if forks() != self._forks:  # a child that goes on would act as a second rank
            end_child(failure or self._child_error())
        os.chdir(self._directory)
        if failure is not None:
            frame = (
                failure.__traceback__
            )  # of this method; then of _call, of the function
            raise CallFailed(failure, frame and frame.tb_next and frame.tb_next.tb_next)
        try:
            return json.loads(json.dumps(as_json(value), allow_nan=False))
        except Exception as error:
            raise CallFailed(error, None) from None

    def _call(self, segment: Segment) -> Any:
        if not self._records:
            return self._function(segment.name)
        with closing(iter_lines(segment, self._reader)) as lines:
            return self._function(lines)

    def _child_error(self) -> MpiAppsError:
        return MpiAppsError(
            f"a process forked by {self._name} returned from it; end such a process"
            " with os._exit"
        )

    def for_root(self, segment: Segment, value: Any) -> Any:
        """Return the value with the offset of the segment."""
        return segment.start, value


def as_json(value: Any) -> Any:
    """Return a value with NumPy scalars and arrays as Python numbers and lists.

    Raises
    ------
    ValueError
        If two keys of a dictionary are the same string in JSON.
    """
    if isinstance(value, np.longdouble):
        return float(value)
    if isinstance(value, np.generic | np.ndarray):
        plain = value.tolist()
        return plain if isinstance(plain, np.generic) else as_json(plain)
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        converted = {
            as_json(k) if isinstance(k, np.generic) else k: as_json(v)
            for k, v in value.items()
        }
        if len(json.loads(json.dumps(dict.fromkeys(converted)))) < len(value):
            raise ValueError(f"keys that are equal in JSON: {list(converted)}")
        return converted
    return value
