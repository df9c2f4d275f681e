r"""Task lists: one shell command per line.

Blank lines and comments, which begin with ``#``, are skipped. Attributes of a task
follow the last ``#:`` of its line; those on a line of their own hold for all tasks
below::

    #: time=10m memory=2GiB
    ./simulate --seed 1
    ./simulate --seed 2  #: time=1h retries=2
    grep ' #: ' notes  #:
    echo one\u000aecho two  #: escapes=yes
    #: barrier
    ./collect            #: after=simulation

A command that does not fit on a line, such as one of a grid, is written with escapes.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from glob import glob
from json.encoder import encode_basestring_ascii as _quoted
from pathlib import Path
from typing import Any, BinaryIO

from mpiapps.base.errors import InputError
from mpiapps.base.stdin import standard_input
from mpiapps.base.units import parse_count, parse_size, parse_time

MARK = "#:"
ESCAPES = re.compile(r"\\(?:u([0-9a-f]{4})|(\\))")
_NO_ENVIRON: Mapping[str, str] = {}  # shared by all tasks without variables


@dataclass(frozen=True, slots=True)
class Task:
    """One command and its attributes.

    Attributes
    ----------
    command : str
        As for ``sh -c``.
    directory : str
        Working directory; empty: that of the farm.
    environ : mapping
        Environment variables to set.
    inputs : tuple of str
        Files that it reads; a changed one makes it another task.
    outputs : tuple of str
        Files that it writes, which are fsynced and recorded with their digests; a
        missing one is a failure.
    stdout : str
        File for its standard output, which appears when it is done; recorded as the
        `outputs` are. Empty: the log of the attempt. See `output_names`.
    seconds, memory, cores, retries : numbers
        Limits of wall time and of resident bytes (0: none), cores, and how often it
        is run again after a failure.
    name : str
        For the `after` of other tasks; several tasks may have one name.
    after : tuple of str
        Names of the tasks that must be done before it starts.
    stage : int
        Number of barriers above it; the tasks above them must be done before it starts.
    """

    command: str
    directory: str = ""
    environ: Mapping[str, str] = field(default_factory=lambda: _NO_ENVIRON)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    stdout: str = ""
    seconds: float = 0.0
    memory: int = 0
    cores: int = 1
    retries: int = 0
    name: str = ""
    after: tuple[str, ...] = ()
    stage: int = 0

    def identity(self, occurrence: int = 0) -> str:
        """Return a digest of the command, directory, environment and inputs.

        Position, resource limits and dependencies are not part of the digest.
        `occurrence` distinguishes equal tasks of one list.
        """
        stamps = [_stamps(self, name) for name in self.inputs] if self.inputs else []
        # As `json.dumps` writes it, at a fifth of the cost; journals depend on it.
        strings = f"{_quoted(self.command)}, {_quoted(self.directory)}"
        environ = json.dumps(self.environ, sort_keys=True) if self.environ else "{}"
        text = f"[[{strings}, {environ}, {occurrence}], {json.dumps(stamps)}]"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def by_identity(tasks: Iterable[Task]) -> dict[str, Task]:
    """Return the tasks of a list by identity, in their order."""
    by_name: dict[str, Task] = {}
    repeats = Counter[str]()
    for task in tasks:
        name = task.identity()
        if name in by_name:
            repeats[name] += 1
            name = task.identity(repeats[name])
        by_name[name] = task
    return by_name


def read_list(
    lines: Iterable[str], name: str = "the list", defaults: Task | None = None
) -> Iterator[Task]:
    """Yield the tasks of a list, with the attributes of `defaults` unless it sets them.

    Raises
    ------
    InputError
        At a line that is not a task; the message has its number.
    """
    fields = fields_of(defaults)
    for number, line in enumerate(lines, 1):
        text = _stripped(line.removesuffix("\n").removesuffix("\r"))
        try:
            if "\0" in text:
                raise ValueError("it contains a zero byte")
            if text.startswith("#DISBATCH"):
                raise ValueError("directives of disBatch are not supported")
            if text.startswith(MARK):
                attributes = _attributes(text.removeprefix(MARK))
                if "escapes" in attributes:
                    raise ValueError("escapes=yes is only valid after a command")
                fields = _merged(fields, attributes)
                fields["stage"] += fields.pop("barrier", 0)
            elif text and not text.startswith("#"):
                command, own = _split(text)
                if "barrier" in own:
                    raise ValueError("barrier is only valid on a line of its own")
                yield Task(command, **(_merged(fields, own) if own else fields))
        except ValueError as error:
            raise InputError(f"{name}, line {number}: {error}") from error


def read_file(name: str, defaults: Task | None = None) -> Iterator[Task]:
    """Yield the tasks of a file, or of standard input for ``-``; see `read_list`.

    Raises
    ------
    InputError
        If the file cannot be read, or a line is not a task.
    """
    if name == "-":
        with standard_input() as stream:
            yield from read_list(lines_of(stream), "standard input", defaults)
        return
    try:
        with Path(name).open("rb") as stream:
            yield from read_list(lines_of(stream), name, defaults)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error


def part_of(names: Collection[str], part: str) -> set[str]:
    """Return the tasks of the part ``I/N``, I from 1; all of them if it is empty.

    Parts are equal shares of the tasks in the order of their digests: neighbours in
    the list, which are often similar, are spread, and positions do not matter. Adding
    or removing a task moves at most one other task across each bound.

    Raises
    ------
    ValueError
        If `part` is invalid.
    """
    if not part:
        return set(names)
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", part, re.ASCII)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise ValueError(f"--part {part}: give I/N, with I from 1 to N")
    last, parts = int(match[1]), int(match[2])
    first = (last - 1) * len(names) // parts
    return set(sorted(names)[first : last * len(names) // parts])


def _stripped(text: str) -> str:
    """Return a text without the blanks around it, but one that a backslash escapes."""
    kept = text.strip(" \t")
    is_escaped = (len(kept) - len(kept.rstrip("\\"))) % 2 == 1
    return kept + text.lstrip(" \t")[len(kept) :][:1] if is_escaped else kept


def _split(line: str) -> tuple[str, Mapping[str, Any]]:
    """Return the command and the attributes of a line."""
    command, mark, text = line.rpartition(f" {MARK}")
    if not mark:
        return line, {}
    try:
        attributes = dict(_attributes(text))
    except ValueError as error:
        raise ValueError(
            f"{error}; if this{mark} belongs to the command, add another at the end"
        ) from error
    command = _stripped(command)
    if attributes.pop("escapes", False):
        command = ESCAPES.sub(_unescape, command)
    return command, attributes


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else "\\"


def fields_of(defaults: Task | None) -> dict[str, Any]:
    """Return the attributes of a task, without its command."""
    task = defaults or Task("")
    return {name: getattr(task, name) for name in Task.__slots__ if name != "command"}


def lines_of(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a file, which only a line feed ends; skip a UTF-8 BOM."""
    for number, line in enumerate(stream):
        yield os.fsdecode(line if number else line.removeprefix(codecs.BOM_UTF8))


def input_files(task: Task, name: str) -> list[Path]:
    """Return the files of an input of a task, which is a file name or a pattern."""
    path = Path(task.directory, name)
    if path.exists():
        return [path]
    names = glob(name, root_dir=task.directory or None)  # noqa: PTH207 - Path.glob takes no absolute pattern
    return [Path(task.directory, match) for match in sorted(names)]


def _stamps(task: Task, name: str) -> list[Any]:
    """Return name, size and mtime of an input; with the file names if a pattern."""
    stamps: list[Any] = [name]
    for path in input_files(task, name):
        with suppress(OSError):  # it was removed meanwhile
            stat = path.stat()
            own = [] if path == Path(task.directory, name) else [str(path)]
            stamps += [*own, stat.st_size, stat.st_mtime_ns]
    return stamps


# Attributes in a list: the field of `Task`, and the parser of the value.
ATTRIBUTES: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "time": ("seconds", parse_time),
    "memory": ("memory", parse_size),
    "cores": ("cores", parse_count),
    "retries": ("retries", parse_count),
    "cd": ("directory", str),
    "in": ("inputs", lambda text: tuple(text.split(","))),
    "out": ("outputs", lambda text: tuple(text.split(","))),
    "stdout": ("stdout", str),
    "name": ("name", str),
    "after": ("after", lambda text: tuple(text.split(","))),
}


@lru_cache(1024)
def _attributes(text: str) -> Mapping[str, Any]:
    """Return the fields of `Task` that the attributes after a mark set."""
    fields: dict[str, Any] = {}
    for token in shlex.split(text):
        key, equals, value = token.partition("=")
        if equals and key in ATTRIBUTES:
            name, parse = ATTRIBUTES[key]
            fields[name] = parse(value)
        elif token == "escapes=yes":
            fields["escapes"] = True
        elif token == "barrier":
            fields["barrier"] = 1
        elif equals and (variable := key.removeprefix("env.")) not in (key, ""):
            fields.setdefault("environ", {})[variable] = value
        else:
            known = ", ".join(ATTRIBUTES)
            raise ValueError(
                f"{token!r} is not one of {known}, env.NAME with =VALUE, or barrier"
            )
    return fields


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a task: its own, else the defaults."""
    fields = {**defaults, **own}
    if "environ" in own:
        fields["environ"] = {**defaults["environ"], **own["environ"]}
    return fields
