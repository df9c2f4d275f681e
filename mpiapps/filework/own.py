"""A function of one's own on files, or on ranges of their lines."""

from __future__ import annotations

import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from mpiapps.base.errors import MpiAppsError
from mpiapps.base.forks import end_child, forks
from mpiapps.base.named import named
from mpiapps.comm.signals import is_signal
from mpiapps.filework.operation import CallFailed, Operation
from mpiapps.filework.reading import Reader, lines
from mpiapps.filework.segments import Segment


class Own(Operation):
    """Calls a function. Local.

    Whatever the function does is the failure of its file alone: also `SystemExit`, a
    process that it forks and that returns, another working directory.

    Parameters
    ----------
    name : str
        ``module:function``; the module may lie in the working directory.
    records : bool
        Call it with an iterator over lines (bytes, without their ends) of a range of
        the file; else with the file's name.

    Raises
    ------
    UsageError
        If there is no such function.
    """

    def __init__(self, name: str, *, records: bool) -> None:
        self._name, self._function = name, named(name)
        self._records = records
        self._reader = Reader()
        self._forks, self._folder = forks(), Path.cwd()

    def cuts(self, name: str) -> bool:
        """Return whether lines are wanted, and the file can be read from its middle."""
        return self._records and self._reader.cuts(name)

    def do(self, segment: Segment) -> Any:
        """Return what the function returns, as JSON has it.

        Raises
        ------
        CallFailed
            If the function raises, or JSON has no such value.
        """
        failure: BaseException | None = None
        try:
            value = self._call(segment)
        except BaseException as error:
            if is_signal(error):
                raise
            failure = error
        if forks() != self._forks:  # a second rank would do all again
            end_child(failure or self._returned())
        os.chdir(self._folder)
        if failure is not None:
            frame = failure.__traceback__  # this one, that of _call, the function's
            raise CallFailed(failure, frame and frame.tb_next and frame.tb_next.tb_next)
        try:
            return json.loads(json.dumps(as_json(value), allow_nan=False))
        except Exception as error:
            raise CallFailed(error, None) from None

    def _call(self, segment: Segment) -> Any:
        if not self._records:
            return self._function(segment.name)
        with closing(lines(segment, self._reader)) as records:
            return self._function(records)

    def _returned(self) -> MpiAppsError:
        return MpiAppsError(
            f"a process that {self._name} forked returned from it; end such a process"
            " by os._exit"
        )

    def kept(self, segment: Segment, value: Any) -> Any:
        """Return the value with its place in the file."""
        return segment.start, value


def as_json(value: Any) -> Any:
    """Return a value with Python's own numbers and lists for those of NumPy. Local.

    Raises
    ------
    ValueError
        If two keys of a dictionary have the same text, of which JSON can hold one.
    """
    if isinstance(value, np.longdouble):
        return float(value)
    if isinstance(value, np.generic | np.ndarray):
        plain = value.tolist()
        return plain if isinstance(plain, np.generic) else as_json(plain)
    if isinstance(value, list | tuple):
        return [as_json(each) for each in value]
    if isinstance(value, dict):
        named = {
            as_json(k) if isinstance(k, np.generic) else k: as_json(v)
            for k, v in value.items()
        }
        if len(json.loads(json.dumps(dict.fromkeys(named)))) < len(value):
            raise ValueError(f"keys that JSON cannot tell apart: {list(named)}")
        return named
    return value
