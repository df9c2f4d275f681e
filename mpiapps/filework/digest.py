"""Digests of files, as sha256sum writes and checks them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mpiapps.filework.operation import Operation
from mpiapps.filework.segments import Segment


class Digest(Operation):
    """The SHA-256 of each file; a file is one rank's, since it goes from its begin."""

    def do(self, segment: Segment) -> str:
        """Return the digest, hexadecimal."""
        with Path(segment.name).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()


def manifest_line(name: str, digest: str) -> bytes:
    """Return the line of a file for ``sha256sum -c``. Local.

    A name with a newline, a return or a backslash is escaped, and the line marked.
    """
    plain = os.fsencode(name)
    escaped = (
        plain.replace(b"\\", b"\\\\").replace(b"\n", b"\\n").replace(b"\r", b"\\r")
    )
    mark = b"" if escaped == plain else b"\\"
    return mark + digest.encode() + b"  " + escaped + b"\n"
