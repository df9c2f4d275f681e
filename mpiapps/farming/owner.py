"""One manager for one run directory."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from mpiapps.base.errors import LaunchError, naming

# How schedulers name the job: for whoever must find out whether it still runs.
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


class Owner:
    """Makes this process the manager of a directory, until it leaves. Local.

    Parameters
    ----------
    path : Path
        The file that says who it is; it stays, empty, when nobody is.
    take_over : bool
        Whether to take the directory from a manager on another host.

    Raises
    ------
    LaunchError
        If another process of this host has it, or one of another host had it last and
        did not leave.
    ReadWriteError
        If the directory cannot be made, or the file not be written.

    Notes
    -----
    The kernel's lock on the file tells for certain whether a manager of this host is
    alive, and goes with its process. Other hosts may not see it (``man 2 flock``, of
    NFS), so their names are written into the file, and only a person can say that they
    are gone.
    """

    def __init__(self, path: Path, *, take_over: bool = False) -> None:
        self._path, self._take_over = path, take_over

    def __enter__(self) -> Owner:
        """Make the directory, if it is not there, and become the manager."""
        folder = self._path.parent
        with naming(folder, "make"):
            folder.mkdir(parents=True, exist_ok=True)
        with naming(self._path, "write"):
            self._file = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
            )
            try:
                self._claim()
            except BaseException:
                os.close(self._file)
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the directory to whoever comes next."""
        os.ftruncate(self._file, 0)
        os.close(self._file)

    def _claim(self) -> None:
        free = True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        last = self._last()
        if not free:
            raise LaunchError(
                f"{self._path.parent} is at work: {_named(last)}; wait for it, or stop"
                " it, or use another directory"
            )
        job = _job()
        same = bool(job) and last.get("job") == job  # its start before this one
        elsewhere = bool(last) and last.get("host") != socket.gethostname() and not same
        if elsewhere and not self._take_over:
            raise LaunchError(
                f"{self._path.parent} was left by {_named(last)}, which this host"
                " cannot look at; if it has ended, give --take-over"
            )
        self._write()

    def _last(self) -> Mapping[str, object]:
        """Return who wrote the file last and did not leave; empty if nobody."""
        try:
            found = json.loads(os.pread(self._file, 4096, 0) or b"{}")
        except ValueError:  # torn: its writer was killed while it became the manager
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self) -> None:
        me = {"host": socket.gethostname(), "pid": os.getpid(), "job": _job()}
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(me).encode(), 0)
        os.fsync(self._file)


def _job() -> str:
    return next((os.environ[name] for name in JOBS if name in os.environ), "")


def _named(last: Mapping[str, object]) -> str:
    job = f", job {last['job']}" if last.get("job") else ""
    return f"process {last.get('pid', '?')} on {last.get('host', 'a host')}{job}"
