"""Output files of tasks: standard output, fsync and digests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mpiapps.storage.replace_file import fsync_directory, fsync_path

FileDigest = list[int | str]  # size in bytes, and SHA-256
PART = ".part"


def is_stream(path: Path) -> bool:
    """Return whether a path is a device, a FIFO or a socket: nothing may replace it."""
    return path.exists() and not (path.is_file() or path.is_dir())


def part_file(path: Path) -> Path:
    """Return the file for standard output until it can replace `path`."""
    return path.with_name(f"{path.name}{PART}")


def fsync_and_hash(path: Path) -> FileDigest:
    """Return size and digest of a file after `fsync` of it and of its directory.

    Raises
    ------
    OSError
        If the file does not exist or cannot be read.
    """
    fsync_path(path)
    digest = _digest(path)
    fsync_directory(path.parent)
    return digest


def diff(path: Path, recorded: FileDigest) -> str:
    """Return how a file differs from its recorded digest; empty if it does not."""
    try:
        size, sha256 = _digest(path)
    except OSError as error:
        return error.strerror or str(error)
    if size != recorded[0]:
        return f"{size} bytes, recorded {recorded[0]}"
    return "" if sha256 == recorded[1] else "its content has changed"


def _digest(path: Path) -> FileDigest:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return [os.fstat(stream.fileno()).st_size, sha256]
