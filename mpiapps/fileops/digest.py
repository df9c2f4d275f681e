"""Digests of files, in the format of sha256sum."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mpiapps.fileops.operation import Operation
from mpiapps.fileops.reading import check_not_truncated
from mpiapps.fileops.segments import Segment


class Digest(Operation):
    """The SHA-256 of each file. Files are not split: SHA-256 is sequential."""

    def execute(self, segment: Segment) -> str:
        """Return the digest in hexadecimal."""
        with Path(segment.name).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            check_not_truncated(stream.fileno(), stream.tell(), segment.size)
            return digest


def manifest_line(name: str, digest: str) -> bytes:
    """Return the line of a file for ``sha256sum -c``."""
    return os.fsencode(line_with_name(f"{digest}  ", name))


def line_with_name(prefix: str, name: str) -> str:
    """Return the line `prefix`, `name`, escaped as by sha256sum.

    In a name with a newline, a carriage return or a backslash these are escaped, and
    the line begins with a backslash.
    """
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    return f"{'' if escaped == name else chr(92)}{prefix}{escaped}\n"
