"""The folder of a host's workers: private, and gone when they are."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

# Locks are known on one host alone, on some file systems that several share.
PREFIX = f"mpiapps-dask-{socket.gethostname()}-"
# Where the scheduler of the cluster lets a job write on the host itself.
SCRATCH = ("SLURM_TMPDIR", "TMPDIR")
# What Dask spills to there is in memory after all, or crosses the network.
IN_MEMORY = {"tmpfs", "ramfs"}
YOUNG = 5.0  # s that a folder may take to be locked
SHARED = {"nfs", "nfs4", "cifs", "lustre", "gpfs", "beegfs", "ceph", "fuse.sshfs"}


@contextmanager
def private_folder(
    asked: str = "", environ: Mapping[str, str] = os.environ
) -> Iterator[tuple[Path, list[str]]]:
    """Make a folder of mode 0700; yield it and what is to be told; remove it. Local.

    Parameters
    ----------
    asked : str
        Make it in this folder; else in the job's scratch, else in ``/tmp``.
    environ : mapping

    Notes
    -----
    A lock on a file in it, which the kernel takes away with this process, tells whether
    a folder of that kind is in use; those that are not are told of.
    """
    named = [environ[name] for name in SCRATCH if environ.get(name)]
    where = Path(asked or next(iter(named), tempfile.gettempdir())).expanduser()
    told = [*_left(where), *_slow(where)]
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
    lock = os.open(folder / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder, told
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _left(where: Path) -> Iterator[str]:
    """Yield a line for each folder of a run that was killed before it removed it."""
    for folder in where.glob(f"{PREFIX}*"):
        try:
            status = folder.stat()
            young = time.time() - status.st_ctime < YOUNG
            if status.st_uid != os.getuid() or young:
                continue
            lock = os.open(folder / "owner", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield f"{folder} was left by a run that was killed; remove it"
        except OSError:  # it is in use, or nothing can tell
            pass
        finally:
            os.close(lock)


def _slow(where: Path) -> Iterator[str]:
    kind = _filesystem(where)
    remedy = "name a disk of this host by --local-directory"
    if kind in IN_MEMORY:
        yield f"{where} is in memory ({kind}): what Dask spills stays there; {remedy}"
    if kind in SHARED:
        yield f"{where} is on the network ({kind}): Dask spills over it; {remedy}"


def _filesystem(path: Path) -> str:
    """Return the kind of file system that `path` is on, as ``mount`` names it."""
    here, longest, found = str(path.resolve()), -1, ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        within = f"{here}/".startswith(f"{place.rstrip('/')}/")
        if within and len(place) >= longest:
            longest, found = len(place), kind
    return found
