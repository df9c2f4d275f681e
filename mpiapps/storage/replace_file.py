"""Atomic replacement of files: write a temporary file beside the target, then rename.

A symbolic link is kept, and its target replaced. The new file has the mode of the old
one, and its owner and group where the system permits. Other hard links to the old file
keep the old content, as after any rename.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import socket
import stat
from contextlib import suppress
from pathlib import Path

from mpiapps.base.processes import start_of

MAX_STEM = 60  # characters of the target's name in the temporary name (limit: 255)
PART_SUFFIX = ".part"


def real_path(path: Path) -> Path:
    """Return `path` with its symbolic links resolved, whether or not it exists."""
    return Path(os.path.realpath(path))


def create_temporary(target: Path) -> tuple[int, Path]:
    """Create an empty file beside `target`; return its descriptor and its path.

    If `target` exists, only the owner can read the file until it replaces `target`.

    Raises
    ------
    OSError
        If the file cannot be created, or `target` is not a regular, writable file.
    """
    mode = 0o666  # modified by the umask
    if target.exists():
        mode = 0o600
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if not target.is_file():
            raise OSError(errno.EINVAL, "Not a regular file")
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "The file is not writable")
    stem = f".{target.name[:MAX_STEM]}.{socket.gethostname()[:MAX_STEM]}."
    _remove_stale(target.parent, stem)
    unique = f"{os.getpid()}.{os.urandom(6).hex()}"
    part = target.with_name(f"{stem}{unique}{PART_SUFFIX}")
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), part


def temporary_pattern(name: str) -> re.Pattern[str]:
    """Return the pattern of the temporary files of a target, of any host and process.

    `name`: of the target, without its directory.
    """
    stem, suffix = re.escape(f".{name[:MAX_STEM]}."), re.escape(PART_SUFFIX)
    return re.compile(rf"{stem}.+\.\d+\.[0-9a-f]{{12}}{suffix}")


def _remove_stale(directory: Path, stem: str) -> None:
    """Remove temporary files of processes on this host that have ended."""
    for part in directory.glob(f"{glob.escape(stem)}*{PART_SUFFIX}"):
        pid = part.name.removeprefix(stem).partition(".")[0]
        if pid.isdecimal() and start_of(int(pid)) is None:
            with suppress(OSError):
                part.unlink()


def replace_target(part: Path, target: Path) -> None:
    """Flush `part` to disk and rename it to `target`.

    Readers of `target` get the complete old or new content, also after a kill or a
    power failure.
    """
    with suppress(FileNotFoundError):
        old = target.stat()
        for owner in ((old.st_uid, -1), (-1, old.st_gid)):
            with suppress(PermissionError):
                os.chown(part, *owner)
        part.chmod(stat.S_IMODE(old.st_mode) & 0o777)
    fsync_path(part)
    part.replace(target)
    fsync_directory(target.parent)


def fsync_directory(path: Path) -> None:
    """Flush the entries of a directory to disk, where that is possible.

    A directory that may be written to but not read cannot be opened, and some file
    systems do not support it. The entry exists in any case.
    """
    try:
        fsync_path(path)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EINVAL, errno.ENOTSUP}:
            raise


def fsync_path(path: Path) -> None:
    """Flush a file or a directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
