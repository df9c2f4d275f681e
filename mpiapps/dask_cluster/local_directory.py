"""The private directory that a host's workers spill to, removed when they end."""

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

# Some shared file systems keep locks per host, so leftovers are found per host.
PREFIX = f"mpiapps-dask-{socket.gethostname()}-"
# Set by batch systems to a directory on the host's disk.
SCRATCH_VARIABLES = ("SLURM_TMPDIR", "TMPDIR")
# File systems on which spilled data stays in memory, or crosses the network.
MEMORY_FILESYSTEMS = {"tmpfs", "ramfs"}
LOCK_SECONDS = 5.0  # after which a new directory is certainly locked
NETWORK_FILESYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "lustre",
    "gpfs",
    "beegfs",
    "ceph",
    "fuse.sshfs",
}


@contextmanager
def private_directory(
    parent: str = "", environ: Mapping[str, str] = os.environ
) -> Iterator[tuple[Path, list[str]]]:
    """Create a directory of mode 0700; yield it, and notes for the user; remove it.

    Parameters
    ----------
    parent : str
        Its parent; by default the job's scratch, else ``/tmp``.
    environ : mapping

    Notes
    -----
    A lock on a file in it, which the kernel releases with this process, marks it as in
    use. Directories without a lock are leftovers of killed runs, listed in the notes.
    """
    scratch = [environ[name] for name in SCRATCH_VARIABLES if environ.get(name)]
    base = Path(parent or next(iter(scratch), tempfile.gettempdir())).expanduser()
    notes = [*_leftovers(base), *_unsuitable(base)]
    directory = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    lock = os.open(directory / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # some network file systems have no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory, notes
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def _leftovers(base: Path) -> Iterator[str]:
    """Yield a note for each directory that a killed run has left."""
    for directory in base.glob(f"{PREFIX}*"):
        try:
            status = directory.stat()
            is_new = time.time() - status.st_ctime < LOCK_SECONDS
            if status.st_uid != os.getuid() or is_new:
                continue
            lock = os.open(
                directory / "owner", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield f"{directory} was left by a killed run; remove it"
        except OSError:  # in use, or without support for locks
            pass
        finally:
            os.close(lock)


def _unsuitable(base: Path) -> Iterator[str]:
    kind = _filesystem(base)
    remedy = "name a directory on a local disk by --local-directory"
    if kind in MEMORY_FILESYSTEMS:
        yield f"{base} is in memory ({kind}), and so is data spilled to it; {remedy}"
    if kind in NETWORK_FILESYSTEMS:
        yield f"{base} is on the network ({kind}), and spilling is slow; {remedy}"


def _filesystem(path: Path) -> str:
    """Return the type of the file system of `path`, as ``mount`` prints it."""
    resolved, longest, filesystem = str(path.resolve()), -1, ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, mount_point, kind, *_ = line.split()
        within = f"{resolved}/".startswith(f"{mount_point.rstrip('/')}/")
        if within and len(mount_point) >= longest:
            longest, filesystem = len(mount_point), kind
    return filesystem
