"""Digests of files, as sha256sum writes and checks them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mpiapps.filework.operation import Operation
from mpiapps.filework.reading import see_end
from mpiapps.filework.segments import Segment


class Digest(Operation):
    """The SHA-256 of each file; a file is one rank's, since it goes from its begin."""

    def do(self, segment: Segment) -> str:
        """Return the digest, hexadecimal."""
        with Path(segment.name).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            see_end(stream.fileno(), stream.tell(), segment.size)
            return digest


def manifest_line(name: str, digest: str) -> bytes:
    """Return the line of a file for ``sha256sum -c``. Local."""
    return os.fsencode(line_with(f"{digest}  ", name))


def line_with(before: str, name: str) -> str:
    """Return a line that ends with a name, as sha256sum writes it. Local.

    A name with a newline, a return or a backslash is escaped, and the line begins with
    a backslash.
    """
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    return f"{'' if escaped == name else chr(92)}{before}{escaped}\n"
