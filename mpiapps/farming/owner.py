"""One manager for one run directory."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from mpiapps.base.errors import LaunchError, naming
from mpiapps.base.launcher_watch import look

# How schedulers name the job: for whoever must find out whether it still runs.
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")
# The file system has no locks, such as Lustre without the option flock.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)

Manager = Mapping[str, object]


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

    Without locks managers take turns: number n + 1 is taken by making the file
    ``NAME.n+1``, which one process alone can, once number n has left or is not a
    process any more by pid and start.
    """

    def __init__(self, path: Path, *, take_over: bool = False) -> None:
        self._path, self._take_over = path, take_over
        self._turn_file: Path | None = None

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
        if self._turn_file is not None:
            with suppress(OSError):  # it was taken over
                os.truncate(self._turn_file, 0)

    def _claim(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._check(self._last(), held=True)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._take_turn()
        else:
            self._check(self._last(), held=False)
        self._write()

    def _check(self, last: Manager, *, held: bool) -> None:
        """Raise `LaunchError` if the directory is another manager's. Local."""
        if held:
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

    def _take_turn(self) -> None:
        """Become the manager by the next turn's file. Local."""
        while True:
            turn = self._turn()
            with suppress(FileNotFoundError):  # a later manager has removed it
                last = _read(self._at(turn).read_bytes())
                self._check(last, held=_is_alive(last))
                if self._take(turn + 1):
                    return

    def _take(self, turn: int) -> bool:
        """Return whether this is the manager of `turn` now. Local."""
        whole = self._path.with_name(f"{self._path.name}.{secrets.token_hex(8)}.part")
        try:
            whole.write_text(json.dumps(_me()))
            self._at(turn).hardlink_to(whole)
        except FileExistsError:
            return False
        finally:
            whole.unlink(missing_ok=True)
        if self._turn() != turn:  # others came and left meanwhile, and removed theirs
            self._at(turn).unlink(missing_ok=True)
            return False
        self._turn_file = self._at(turn)
        for earlier in range(1, turn):
            self._at(earlier).unlink(missing_ok=True)
        return True

    def _last(self) -> Manager:
        return _read(os.pread(self._file, 4096, 0))

    def _turn(self) -> int:
        """Return the latest turn; 0 is the file of those with locks. Local."""
        names = self._path.parent.glob(f"{self._path.name}.*")
        return max(
            (int(n.suffix[1:]) for n in names if n.suffix[1:].isdecimal()), default=0
        )

    def _at(self, turn: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{turn}") if turn else self._path

    def _write(self) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(_me()).encode(), 0)
        os.fsync(self._file)


def _read(content: bytes) -> Manager:
    """Return who wrote a file last and did not leave; empty if nobody. Local."""
    try:
        found = json.loads(content or b"{}")
    except ValueError:  # torn: its writer was killed while it became the manager
        return {}
    return found if isinstance(found, dict) else {}


def _me() -> Manager:
    me = look(os.getpid())
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "start": me and me.start,
        "job": _job(),
    }


def _is_alive(manager: Manager) -> bool:
    """Return whether a manager is a process of this host. Local."""
    pid = manager.get("pid")
    if manager.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    process = look(pid)
    return process is not None and manager.get("start") in (None, process.start)


def _job() -> str:
    return next((os.environ[name] for name in JOBS if name in os.environ), "")


def _named(last: Manager) -> str:
    job = f", job {last['job']}" if last.get("job") else ""
    return f"process {last.get('pid', '?')} on {last.get('host', 'a host')}{job}"
