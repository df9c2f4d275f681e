"""Probes of directories: temporary files, shared memory, locks, caches."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from mpiapps.base.launch_environment import int_variable
from mpiapps.base.units import format_size
from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    POSSIBLE,
    WARNING,
    Finding,
    NotApplicable,
    probe,
)
from mpiapps.diagnostics.system import System

MIB = 1024**2
SHM_PER_RANK = 32 * MIB  # segments of MPICH and Open MPI, by order of magnitude
SHM_SMALL = 128 * MIB  # Docker's default is 64 MiB
TMPDIR_FREE = 64 * MIB
# The longest path that multiprocessing appends to TMPDIR; the limit is in man 7 unix.
SOCKET = "pymp-xxxxxxxx/listener-xxxxxxxx"
SOCKET_LIMIT = 107
NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "lustre", "gpfs", "beegfs", "fuse.sshfs", "cifs",
                        "ceph", "fuse.glusterfs", "panfs", "9p")  # fmt: skip


@probe(
    "tmpdir",
    examines="TMPDIR: length of its path, access, free space",
    symptom="`bind() failed`, `AF_UNIX path too long`",
)
def tmpdir(system: System) -> Iterator[Finding]:
    """Find a TMPDIR that is too long for sockets, or not writable."""
    directory, name = system.tmpdir, f"TMPDIR={system.tmpdir}"
    length = len(os.fsencode(directory))
    if length + 1 + len(SOCKET) > SOCKET_LIMIT:
        yield Finding(
            ERROR,
            f"the path of TMPDIR has {length} bytes: {directory}",
            "A path of a socket may have 107 bytes: multiprocessing, Ray and Open MPI 4"
            " cannot bind their sockets there.",
            "export TMPDIR=/tmp",
        )
    try:
        with tempfile.NamedTemporaryFile(dir=directory):
            pass
    except OSError as error:
        yield Finding(
            ERROR,
            f"no file can be created in {name}: {error.strerror}",
            "Launchers and MPI libraries fail at their start.",
            "export TMPDIR=/tmp; in a container, bind the directory (apptainer --bind"
            f" {directory})",
        )
        return
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if free < TMPDIR_FREE:
        yield Finding(
            WARNING,
            f"{name} has {format_size(free)} free",
            "Session directories and temporary files may not fit.",
            "export TMPDIR to a local directory with more space",
        )


@probe(
    "dev-shm",
    examines="size and free space of /dev/shm",
    symptom="`Bus error` in the first messages",
)
def dev_shm(system: System) -> Iterator[Finding]:
    """Find a /dev/shm that is too small for the segments of the ranks."""
    directory, ranks = system.path("/dev/shm"), system.ranks_per_host()
    if not directory.is_dir() or not os.access(directory, os.W_OK):
        yield Finding(
            ERROR,
            f"{directory} does not exist or is not writable",
            "Ranks of one host cannot share memory.",
            "mount it: mount -t tmpfs tmpfs /dev/shm; in a container bind the host's",
        )
        return
    status = os.statvfs(directory)
    size, free = (n * status.f_frsize for n in (status.f_blocks, status.f_bavail))
    needed = max(SHM_SMALL, ranks * SHM_PER_RANK)
    if size and size < needed:
        yield Finding(
            ERROR,
            f"/dev/shm has {format_size(size)}; {ranks} rank(s) need about"
            f" {format_size(needed)}",
            "A rank that writes beyond it is killed by SIGBUS.",
            f"docker run --shm-size={max(1, needed >> 30)}g ..., or --ipc=host; as"
            " root: mount -o remount,size=50% /dev/shm",
            LIKELY,
        )
    elif size and free < ranks * SHM_PER_RANK:
        yield Finding(
            WARNING,
            f"/dev/shm has {format_size(free)} free of {format_size(size)}",
            "Segments of the ranks may not fit: SIGBUS.",
            "remove what killed runs have left: ls -l /dev/shm",
            POSSIBLE,
        )


@probe(
    "file-locks",
    examines="flock and fcntl locks in the work directory",
    symptom="HDF5: `unable to lock file, errno = 37` (or 11, 524)",
)
def file_locks(system: System) -> Iterator[Finding]:
    """Find a file system without locks, by locking a file there."""
    if not os.access(system.work, os.W_OK):
        raise NotApplicable(f"{system.work} is not writable")
    failed = {}
    with tempfile.TemporaryFile(dir=system.work) as file:
        for name, lock in {"flock": fcntl.flock, "fcntl": fcntl.lockf}.items():
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock(file, fcntl.LOCK_UN)
            except OSError as error:
                failed[name] = f"{name}: {error.strerror} (errno {error.errno})"
    if failed:
        yield Finding(
            WARNING,
            f"no locks in {system.work}: {', '.join(failed.values())}",
            "HDF5 refuses to open files there. mpiapps numbers the owners of a"
            " directory instead.",
            "export HDF5_USE_FILE_LOCKING=FALSE, or ask for the mount option flock",
        )


@probe(
    "numba-cache",
    examines="file system of numba's cache, in a job of several hosts",
    symptom="numba: `underlying object has vanished`",
)
def numba_cache(system: System) -> Iterator[Finding]:
    """Find a cache of compiled kernels that several hosts write."""
    hosts = int_variable(system.environ, "SLURM_JOB_NUM_NODES") or 1
    if hosts == 1:
        raise NotApplicable("not in a Slurm job of several hosts")
    directory = Path(system.environ.get("NUMBA_CACHE_DIR") or system.prefix)
    kind = _file_system(system, directory)
    if kind in NETWORK_FILE_SYSTEMS and os.access(directory, os.W_OK):
        yield Finding(
            WARNING,
            f"numba's cache is below {directory}, of type {kind}, for {hosts} hosts",
            "Ranks of several hosts that compile at once can read a file that another"
            " one replaces.",
            "export NUMBA_CACHE_DIR=/tmp/numba-$USER; or run the program once on one"
            " rank before the job",
            POSSIBLE,
        )


def _file_system(system: System, path: Path) -> str:
    """Return the type of the file system of `path`, by its longest mount point."""
    best, kind = -1, ""
    for line in system.read("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        if path.resolve().is_relative_to(point) and len(point) > best:
            best, kind = len(point), after.split()[0]
    return kind


@probe(
    "work-directory",
    examines="whether files can be created in the work directory",
    symptom="exit code 74, jobs without output",
)
def work_directory(system: System) -> Iterator[Finding]:
    """Find a work directory that is not writable or full."""
    try:
        with tempfile.TemporaryFile(dir=system.work) as file:
            file.write(b"x" * 4096)
            file.flush()
    except OSError as error:
        yield Finding(
            WARNING,
            f"no file can be written in {system.work}: {error.strerror}",
            "Records, checkpoints and logs of jobs cannot be written there.",
            "cd to a directory of yours with free space or quota",
        )


@probe(
    "unix-sockets",
    examines="whether a Unix socket can be bound in TMPDIR",
    symptom="`bind() failed`, `Operation not permitted`",
)
def unix_sockets(system: System) -> Iterator[Finding]:
    """Find a file system of TMPDIR without sockets, by binding one."""
    path = system.tmpdir / f"mpiapps-{os.getpid()}"
    if len(os.fsencode(path)) > SOCKET_LIMIT or not os.access(system.tmpdir, os.W_OK):
        raise NotApplicable("see the probe tmpdir")
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.bind(str(path))
    except OSError as error:
        yield Finding(
            ERROR,
            f"no socket can be bound in {system.tmpdir}: {error.strerror}",
            "Launchers, multiprocessing and Dask use sockets there.",
            "export TMPDIR to a local file system, such as /tmp",
        )
    finally:
        with suppress(OSError):
            path.unlink()
