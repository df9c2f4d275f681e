"""Files that are replaced whole: written beside their name, then renamed onto it.

A symbolic link stays one, and what it leads to is replaced. The new file has the mode
of the old one, and its owner and group where the system allows it. It is another file:
other hard links to the old one keep the old content, as after any rename.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
import socket
import stat
from contextlib import suppress
from pathlib import Path

from mpiapps.base.launcher_watch import look

STEM = 60  # characters of the name that the temporary name repeats: names end at 255


def real_path(path: Path) -> Path:
    """Return where `path` leads through symbolic links, whether it is there or not."""
    return Path(os.path.realpath(path))


def open_beside(target: Path) -> tuple[int, Path]:
    """Make an empty file beside `target`; return its descriptor and its path. Local.

    Only its owner may read it as long as `target` is there with another mode.

    Raises
    ------
    OSError
        If the file cannot be made, or `target` is not a regular file or not writable.
    """
    mode = 0o666  # less the umask, as any new file
    if target.exists():
        mode = 0o600
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, "Is a directory")
        if not target.is_file():
            raise OSError(errno.EINVAL, "Not a regular file")
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, "The file is not writable")
    stem = f".{target.name[:STEM]}.{socket.gethostname()[:STEM]}."
    _remove_left(target.parent, stem)
    part = target.with_name(f"{stem}{os.getpid()}.{secrets.token_hex(6)}.part")
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), part


def _remove_left(folder: Path, stem: str) -> None:
    """Remove what processes of this host that were killed have left. Local."""
    for part in folder.glob(f"{glob.escape(stem)}*.part"):
        pid = part.name.removeprefix(stem).partition(".")[0]
        if pid.isdecimal() and look(int(pid)) is None:
            with suppress(OSError):
                part.unlink()


def put_in_place(part: Path, target: Path) -> None:
    """Bring `part` to the disk and give it the name `target`. Local.

    Who reads `target` finds the old content or all of the new one, also after a kill or
    a power failure.
    """
    with suppress(FileNotFoundError):
        old = target.stat()
        for owner in ((old.st_uid, -1), (-1, old.st_gid)):
            with suppress(PermissionError):
                os.chown(part, *owner)
        part.chmod(stat.S_IMODE(old.st_mode) & 0o777)
    _sync(part)
    part.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
