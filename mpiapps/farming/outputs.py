"""Files that tasks make: brought to the disk, and known again."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

Stamp = list[int | str]  # bytes, and SHA-256


def brought_to_disk(path: Path) -> Stamp:
    """Return size and digest of a file that will outlive a power cut. Local.

    Raises
    ------
    OSError
        If it is not there, or cannot be read.
    """
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        stamp = _stamp(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return stamp


def what_changed(path: Path, stamp: Stamp) -> str:
    """Return how a file is not as it was; empty if it is. Local."""
    try:
        size, digest = _stamp(path)
    except OSError as error:
        return error.strerror or str(error)
    if size != stamp[0]:
        return f"{size} bytes, and it had {stamp[0]}"
    return "" if digest == stamp[1] else "its content has changed"


def _stamp(path: Path) -> Stamp:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return [os.fstat(stream.fileno()).st_size, digest]
