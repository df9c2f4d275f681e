"""The log of ended tasks in the format of GNU parallel's ``--joblog``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from mpiapps.base.errors import os_errors
from mpiapps.storage.journal import Record
from mpiapps.storage.replace_file import create_temporary, real_path, replace_target
from mpiapps.taskfarm.attempt_queue import DEPENDENCY

COLUMNS = (
    *("Seq", "Host", "Starttime", "JobRuntime", "Send", "Receive"),
    *("Exitval", "Signal", "Command"),
)
# In place of an exit code, as GNU parallel writes it: terminated by the farm; skipped.
TERMINATED, SKIPPED = -1, -2
TERMINATIONS = ("time", "memory", "lost")  # reasons of tasks that the farm ended


class JobLog:
    """A line per ended task, tab-separated, written when the task has ended.

    Parameters
    ----------
    path : Path
        Replaced at the start of a run. A device or a pipe is written to directly.

    Notes
    -----
    Columns: position in the list, from 1; host; start, s since 1970; run time, s; 0;
    bytes of output; exit code; signal; command, with zero bytes for line feeds. The
    source of the format is the manual of GNU parallel, ``--joblog`` and EXIT STATUS.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._positions: dict[str, int] = {}
        self._stream: BinaryIO | None = None
        self._part: Path | None = None  # the temporary file until `publish`

    def start(self, identities: Iterable[str]) -> None:
        """Begin a new file, which replaces the old one at `publish`.

        Raises
        ------
        FileAccessError
            If it cannot be written.
        """
        self._positions = {name: n for n, name in enumerate(identities, 1)}
        with os_errors(self.path, "write"):
            target = real_path(self.path)
            if target.exists() and not target.is_file():
                descriptor = os.open(target, os.O_WRONLY)
            else:
                descriptor, self._part = create_temporary(target)
            self._stream = os.fdopen(descriptor, "wb")
            self._stream.write("\t".join(COLUMNS).encode() + b"\n")

    def add(self, record: Record) -> None:
        """Write the line of a task that has ended; raise as `start` does."""
        assert self._stream is not None
        with os_errors(self.path, "write"):
            self._stream.write(self._line(record))
            if self._part is None:
                self._stream.flush()

    def publish(self) -> None:
        """Give the file its name, with the lines so far; raise as `start` does."""
        assert self._stream is not None
        with os_errors(self.path, "write"):
            self._stream.flush()
            if self._part is not None:
                replace_target(self._part, real_path(self.path))
                self._part = None

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            with os_errors(self.path, "write"):
                self._stream.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def _line(self, record: Record) -> bytes:
        code, reason = record["code"], record["reason"]
        exit_code = max(code, 0)
        if reason in TERMINATIONS:
            exit_code = TERMINATED
        elif reason == DEPENDENCY:
            exit_code = SKIPPED
        values = (
            self._positions[record["task"]],
            record["host"],
            f"{record['at'] - record['seconds']:.3f}",
            f"{record['seconds']:10.3f}",
            0,
            record["log"] or 0,
            exit_code,
            max(-code, 0),
            record["command"].replace("\n", "\0"),
        )
        return os.fsencode("\t".join(map(str, values)) + "\n")
