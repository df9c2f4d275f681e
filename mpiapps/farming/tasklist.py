r"""The tasks of a farm: a list of command lines.

In a list, one command a line, for ``sh -c``. Blank lines and those that begin with
``#`` are passed over; what a task may take stands behind it, after the last ``#:`` of
its line, or on a line of its own for all that follow::

    #: time=10m memory=2GiB
    ./simulate --seed 1
    ./simulate --seed 2  #: time=1h retries=2
    grep ' #: ' notes  #:
    echo one\u000aecho two  #: escapes=yes

A command that is no line of its own, as a grid can have it, is written with escapes.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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
UNSAFE = re.compile(r"[\x00-\x1f\x7f]|^[ #\ufeff]| $")  # where a line has no such text
_NONE: Mapping[str, str] = {}  # shared by all tasks without variables of their own


@dataclass(frozen=True, slots=True)
class Task:
    """One command, and what it may take.

    Attributes
    ----------
    command : str
        As for ``sh -c``.
    folder : str
        Where it works; that of the farm if empty.
    environ : mapping
        Variables that are set for it.
    inputs : tuple of str
        Files that it reads: if one has changed, the task is done again.
    outputs : tuple of str
        Files that it makes: brought to the disk and recorded with their digests; one
        that is not there is a failure.
    seconds, memory, cores, retries : numbers
        Wall time and resident bytes (0: any), processors, and how often it may be
        begun again after it failed.
    """

    command: str
    folder: str = ""
    environ: Mapping[str, str] = field(default_factory=lambda: _NONE)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    seconds: float = 0.0
    memory: int = 0
    cores: int = 1
    retries: int = 0

    def identity(self, occurrence: int = 0) -> str:
        """Return a digest of what it does, and of the state of its inputs. Local.

        Not of its place in the list, nor of what it may take. Equal tasks of one list
        are told apart by their `occurrence`.
        """
        stamps = [_stamps(self, name) for name in self.inputs] if self.inputs else []
        # What `json.dumps` makes of it, at a fifth of the cost; old journals have it.
        words = f"{_quoted(self.command)}, {_quoted(self.folder)}"
        environ = json.dumps(self.environ, sort_keys=True) if self.environ else "{}"
        text = f"[[{words}, {environ}, {occurrence}], {json.dumps(stamps)}]"
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def named(tasks: Iterable[Task]) -> dict[str, Task]:
    """Return the tasks of a list by their identities, in their order. Local."""
    found: dict[str, Task] = {}
    again = Counter[str]()
    for task in tasks:
        name = task.identity()
        if name in found:
            again[name] += 1
            name = task.identity(again[name])
        found[name] = task
    return found


def read_list(
    lines: Iterable[str], name: str = "the list", common: Task | None = None
) -> Iterator[Task]:
    """Yield the tasks of a list, line by line, like `common` but where it says. Local.

    Raises
    ------
    InputError
        At a line that cannot be a task; names it.
    """
    fields = fields_of(common)
    for number, line in enumerate(lines, 1):
        text = line.removesuffix("\n").removesuffix("\r").strip(" \t")
        try:
            if "\0" in text:
                raise ValueError("it holds a zero byte")
            if text.startswith("#DISBATCH"):
                raise ValueError("directives of disBatch are not known here")
            if text.startswith(MARK):
                asked = _asked(text.removeprefix(MARK))
                if "escapes" in asked:
                    raise ValueError("escapes=yes stands behind a command, not alone")
                fields = _merged(fields, asked)
            elif text and not text.startswith("#"):
                command, own = _parted(text)
                yield Task(command, **(_merged(fields, own) if own else fields))
        except ValueError as error:
            raise InputError(f"{name}, line {number}: {error}") from error


def read_file(name: str, common: Task | None = None) -> Iterator[Task]:
    """Yield the tasks of a file, or of standard input for ``-``. Local.

    Raises
    ------
    InputError
        If it cannot be read, or a line in it.
    """
    if name == "-":
        with standard_input() as stream:
            yield from read_list(lines_of(stream), "standard input", common)
        return
    try:
        with Path(name).open("rb") as stream:
            yield from read_list(lines_of(stream), name, common)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error


def part_of(names: Collection[str], part: str) -> set[str]:
    """Return the tasks of one part, ``I/N`` with I from 1; all of them without. Local.

    Parts are equal shares of the tasks in the order of their digests: neighbours in the
    list, which are often alike, are spread, and where a task stands does not matter. A
    task that is added or removed moves at most one other from part to part at each
    bound.

    Raises
    ------
    ValueError
        If it is not a part.
    """
    if not part:
        return set(names)
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", part, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--part {part}: give I/N, I from 1 to N")
    last, parts = int(found[1]), int(found[2])
    first = (last - 1) * len(names) // parts
    return set(sorted(names)[first : last * len(names) // parts])


def as_line(task: Task) -> str:
    """Return a task as `read_list` reads it. Local."""
    words = []
    for word, (name, _) in WORDS.items():
        value = getattr(task, name)
        value = int(value) if isinstance(value, float) else value
        if value != getattr(Task(""), name):
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            words.append(f"{word}={text}{UNITS.get(word, '')}")
    words += [f"env.{name}={value}" for name, value in task.environ.items()]
    line = _joined(task.command, words)
    if "\n" not in line and not line.startswith("\ufeff"):
        with suppress(InputError):
            if list(read_list([line])) == [task]:
                return line
    text = task.command.replace("\\", "\\\\")
    text = UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return _joined(text, [*words, "escapes=yes"])


def _joined(command: str, words: Sequence[str]) -> str:
    """Return a line of a list; one mark more if the command has one."""
    if not words and f" {MARK}" not in command:
        return command
    # A mark in the words would be taken for theirs; it is in single quotes.
    text = shlex.join(words).replace(f" {MARK}", f" ''{MARK}")
    return f"{command} {MARK} {text}".rstrip()


def _parted(text: str) -> tuple[str, Mapping[str, Any]]:
    """Return the command of a line, and what is asked for behind it."""
    command, mark, asked = text.rpartition(f" {MARK}")
    if not mark:
        return text, {}
    try:
        own = dict(_asked(asked))
    except ValueError as error:
        raise ValueError(
            f"{error}; if this{mark} is of the command, add another one at the end"
        ) from error
    command = command.strip(" \t")
    if own.pop("escapes", False):
        command = ESCAPES.sub(_unescaped, command)
    return command, own


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16)) if found[1] else "\\"


def fields_of(common: Task | None) -> dict[str, Any]:
    """Return what a task has besides its command."""
    plain = common or Task("")
    return {name: getattr(plain, name) for name in Task.__slots__ if name != "command"}


def lines_of(stream: BinaryIO) -> Iterator[str]:
    """Yield the lines of a file: their ends alone are such, whatever else is in it."""
    for number, line in enumerate(stream):
        yield os.fsdecode(line if number else line.removeprefix(codecs.BOM_UTF8))


def found_inputs(task: Task, name: str) -> list[Path]:
    """Return the files that an input of a task names: a file, or a pattern. Local."""
    path = Path(task.folder, name)
    if path.exists():
        return [path]
    names = glob(name, root_dir=task.folder or None)  # noqa: PTH207 - Path.glob takes none that is absolute
    return [Path(task.folder, each) for each in sorted(names)]


def _stamps(task: Task, name: str) -> list[Any]:
    """Return the state of an input, with the names of the files if it is a pattern."""
    found: list[Any] = [name]
    for path in found_inputs(task, name):
        with suppress(OSError):  # it is gone meanwhile
            stat = path.stat()
            own = [] if path == Path(task.folder, name) else [str(path)]
            found += [*own, stat.st_size, stat.st_mtime_ns]
    return found


# What may be asked for behind a task: the field of `Task`, and how its text is read.
WORDS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "time": ("seconds", parse_time),
    "memory": ("memory", parse_size),
    "cores": ("cores", parse_count),
    "retries": ("retries", parse_count),
    "cd": ("folder", str),
    "in": ("inputs", lambda text: tuple(text.split(","))),
    "out": ("outputs", lambda text: tuple(text.split(","))),
}

UNITS = {"memory": "B"}  # of a number that is not read without


@lru_cache(1024)
def _asked(text: str) -> Mapping[str, Any]:
    """Return the fields that the words behind a mark set."""
    found: dict[str, Any] = {}
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if equals and name in WORDS:
            key, read = WORDS[name]
            found[key] = read(value)
        elif word == "escapes=yes":
            found["escapes"] = True
        elif equals and name.startswith("env."):
            found.setdefault("environ", {})[name.removeprefix("env.")] = value
        else:
            known = ", ".join(WORDS)
            raise ValueError(f"{word!r} is not one of {known}, env.NAME with =VALUE")
    return found


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a task: its own over those of all."""
    found = {**common, **own}
    if "environ" in own:
        found["environ"] = {**common["environ"], **own["environ"]}
    return found
