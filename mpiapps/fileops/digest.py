"""Digests of files, in the format of sha256sum."""

from __future__ import annotations

import os
import pkgutil
import re
from typing import Any

from mpiapps.base.errors import InputError
from mpiapps.base.file_names import input_name, read_input
from mpiapps.base.optional import require
from mpiapps.fileops.choices import ALGORITHMS
from mpiapps.fileops.operation import Operation
from mpiapps.fileops.reading import BLOCK_BYTES, check_not_truncated, open_segment
from mpiapps.fileops.segments import OPEN_COST, Segment

# `DIGEST  NAME`, `DIGEST *NAME`, and `DIGEST NAME` of BSD; blanks may come before it. A
# backslash before it marks an escaped name.
LINE = re.compile(r"[ \t]*(\\?)([0-9a-fA-F]+)[ \t][ *]?(.+)", re.DOTALL)
TAGGED_LINE = re.compile(r"[ \t]*(\\?)([\w-]+) \((.+)\) = ([0-9a-fA-F]+)", re.DOTALL)
TAGS = {"b2": "blake2b"}  # of algorithms with another name in a tagged line
ESCAPED_NAME = re.compile(r"(?:[^\\]|\\[\\nr])+")
ESCAPES = {r"\\": "\\", r"\n": "\n", r"\r": "\r"}


class Digest(Operation):
    """The digest of each file. Files are not split: the algorithms are sequential."""

    open_cost = OPEN_COST

    def __init__(self, algorithm: str) -> None:
        """Take one of `ALGORITHMS`; a missing library is a `LaunchError`."""
        self._hash = _hash(algorithm)
        self._buffer = memoryview(bytearray(BLOCK_BYTES))

    def execute(self, segment: Segment) -> str:
        """Return the digest in hexadecimal."""
        digest, size = self._hash(), 0
        with open_segment(segment) as file:
            while n := os.readv(file, [self._buffer]):
                digest.update(self._buffer[:n])
                size += n
            check_not_truncated(file, size, segment.size)
        return str(digest.hexdigest())


def _hash(algorithm: str) -> Any:
    """Return the constructor of an algorithm, with the interface of hashlib."""
    name = ALGORITHMS[algorithm]
    require(name.partition(":")[0], "files", f"--algorithm {algorithm}")
    return pkgutil.resolve_name(name)


def read_manifest(path: str, algorithm: str) -> dict[str, str]:
    """Return name -> digest of a manifest as of sha256sum, also ``--tag`` or ``-z``.

    ``-`` is standard input. If there is a zero byte, lines end with zero bytes, and
    names are not escaped.

    Raises
    ------
    FileAccessError
        If it cannot be read.
    InputError
        If a line is not a digest of this algorithm and a name, if a name has two
        different digests, or if there is no digest.
    """
    length = 2 * _hash(algorithm)().digest_size
    digests: dict[str, str] = {}
    text, source = os.fsdecode(read_input(path, "manifest")), input_name(path)
    is_z = "\0" in text  # as by sha256sum -z
    for number, part in enumerate(text.split("\0" if is_z else "\n"), 1):
        line = part if is_z else part.removesuffix("\r")
        if not line or line.startswith("#"):
            continue
        name, digest = _parse(line, algorithm, is_escaped=not is_z)
        if len(digest) != length:
            raise InputError(
                f"{source}, line {number}: {line[:80]!r} is not a digest of {length}"
                f" hexadecimal digits, as by {algorithm}, and a name; name the"
                " algorithm with --algorithm"
            )
        if digests.setdefault(name, digest) != digest:
            raise InputError(
                f"{source}, line {number}: {name!r} has another digest above"
            )
    if not digests:
        raise InputError(
            f"{source}: no line has a digest and a name, as those of {algorithm}sum;"
            " write a manifest with hash --output"
        )
    return digests


def _parse(line: str, algorithm: str, *, is_escaped: bool) -> tuple[str, str]:
    """Return name and digest of a line; an empty digest if it has none.

    `is_escaped`: whether a backslash before a line marks an escaped name.
    """
    tag = TAGS.get(algorithm, algorithm)
    if match := LINE.fullmatch(line):
        escaped, digest, name = match.groups()
    elif match := TAGGED_LINE.fullmatch(line):
        escaped, of, name, digest = match.groups()
        if of.lower().replace("-", "") not in (tag, f"{tag}{4 * len(digest)}"):
            return line, ""
    else:
        return line, ""
    if escaped:
        if not (is_escaped and ESCAPED_NAME.fullmatch(name)):
            return line, ""
        name = re.sub(r"\\[\\nr]", lambda match: ESCAPES[match[0]], name)
    return name, digest.lower()


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
