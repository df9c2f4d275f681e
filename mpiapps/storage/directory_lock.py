"""Exclusive lock of a run directory, across hosts."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mpiapps.base.errors import LaunchError, os_errors
from mpiapps.base.launch_environment import job_id
from mpiapps.base.processes import start_of

# Errors of a file system without locks, such as Lustre mounted without flock.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)

Owner = Mapping[str, object]  # host, pid, start time and job id of a process


class DirectoryLock:
    """A context manager that locks a directory for this process.

    Parameters
    ----------
    path : Path
        The lock file, which names the owner; it remains, empty, after release.
    force_unlock : bool
        Whether to take the lock from an owner on another host.

    Raises
    ------
    LaunchError
        If another process holds the lock, or one on another host held it last and did
        not release it.
    FileAccessError
        If the directory cannot be created, or the file not be written.

    Notes
    -----
    The kernel's lock on the file (``man 2 flock``) shows whether an owner on this host
    is running, and ends with its process. It may be invisible on other hosts, as on
    NFS, so the owner's host is written into the file, and only the user can confirm
    that an owner on another host has ended.

    On file systems without locks, owners are numbered: number n + 1 is acquired by
    creating the file ``NAME.n+1`` exclusively, after owner n has released the lock or,
    by pid and start time, has ended.
    """

    def __init__(self, path: Path, *, force_unlock: bool = False) -> None:
        self._path, self._force_unlock = path, force_unlock
        self._numbered_file: Path | None = None

    def __enter__(self) -> DirectoryLock:
        """Create the directory if it does not exist, and acquire the lock."""
        directory = self._path.parent
        with os_errors(directory, "make"):
            directory.mkdir(parents=True, exist_ok=True)
        with os_errors(self._path, "write"):
            self._file = os.open(
                self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
            )
            try:
                self._acquire()
            except BaseException:
                os.close(self._file)
                raise
        return self

    def __exit__(self, *exc: Any) -> None:
        """Release the lock."""
        os.ftruncate(self._file, 0)
        os.close(self._file)
        if self._numbered_file is not None:
            with suppress(OSError):  # another owner has forced the lock
                os.truncate(self._numbered_file, 0)

    def _acquire(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._check(self._last_owner(), held=True)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            self._acquire_next()
        else:
            self._check(self._last_owner(), held=False)
        self._write()

    def _check(self, owner: Owner, *, held: bool) -> None:
        """Raise `LaunchError` if the lock belongs to another process."""
        if held:
            raise LaunchError(
                f"{self._path.parent} is locked by {_describe(owner)}, which is still"
                " running; wait for it, or stop it, or use another directory"
            )
        job = job_id()
        same_job = bool(job) and owner.get("job") == job  # an earlier start of it
        remote = bool(owner) and owner.get("host") != socket.gethostname()
        if remote and not same_job and not self._force_unlock:
            raise LaunchError(
                f"{self._path.parent} is locked by {_describe(owner)}, which cannot be"
                " checked from this host; if it has ended, give --force-unlock"
            )

    def _acquire_next(self) -> None:
        """Acquire the lock by the next numbered file."""
        while True:
            number = self._last_number()
            with suppress(FileNotFoundError):  # a later owner has removed it
                owner = _parse_owner(self._numbered(number).read_bytes())
                self._check(owner, held=_is_running(owner))
                if self._create_numbered(number + 1):
                    return

    def _create_numbered(self, number: int) -> bool:
        """Return whether this process has become owner `number`."""
        part = self._path.with_name(f"{self._path.name}.{os.urandom(8).hex()}.part")
        try:
            part.write_text(json.dumps(_this_process()))
            self._numbered(number).hardlink_to(part)
        except FileExistsError:
            return False
        finally:
            part.unlink(missing_ok=True)
        if self._last_number() != number:  # later owners have come and gone meanwhile
            self._numbered(number).unlink(missing_ok=True)
            return False
        self._numbered_file = self._numbered(number)
        for earlier in range(1, number):
            self._numbered(earlier).unlink(missing_ok=True)
        return True

    def _last_owner(self) -> Owner:
        return _parse_owner(os.pread(self._file, 4096, 0))

    def _last_number(self) -> int:
        """Return the number of the last owner; 0 is the file for kernel locks."""
        names = self._path.parent.glob(f"{self._path.name}.*")
        return max(
            (int(n.suffix[1:]) for n in names if n.suffix[1:].isdecimal()), default=0
        )

    def _numbered(self, n: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{n}") if n else self._path

    def _write(self) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(_this_process()).encode(), 0)
        os.fsync(self._file)


def _parse_owner(content: bytes) -> Owner:
    """Return the owner that has not released the lock; empty if there is none."""
    try:
        owner = json.loads(content or b"{}")
    except ValueError:  # its writer was killed while acquiring the lock
        return {}
    return owner if isinstance(owner, dict) else {}


def _this_process() -> Owner:
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "start": start_of(os.getpid()),
        "job": job_id(),
    }


def _is_running(owner: Owner) -> bool:
    """Return whether an owner is a running process of this host."""
    pid = owner.get("pid")
    if owner.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    start = start_of(pid)
    return start is not None and owner.get("start") in (None, start)


def _describe(owner: Owner) -> str:
    job = f", job {owner['job']}" if owner.get("job") else ""
    return f"process {owner.get('pid', '?')} on {owner.get('host', 'a host')}{job}"
