"""The tasks of a farm: a list of command lines, or a command with parameters.

In a list, one command a line, for ``sh -c``. Blank lines and those that begin with
``#`` are passed over; what a task may take stands behind it, or on a line of its own
for all that follow::

    #: time=10m memory=2GiB
    ./simulate --seed 1
    ./simulate --seed 2  #: time=1h retries=2
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mpiapps.base.errors import InputError
from mpiapps.base.units import parse_count, parse_size, parse_time

MARK = "#:"


@dataclass(frozen=True)
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
    environ: Mapping[str, str] = field(default_factory=dict)
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
        what = [self.command, self.folder, dict(self.environ), occurrence]
        stamps = [[name, *_stamp(Path(self.folder, name))] for name in self.inputs]
        text = json.dumps([what, stamps], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def identities(tasks: Iterable[Task]) -> Iterator[str]:
    """Yield the identity of each task of a list. Local."""
    seen: Counter[str] = Counter()
    for task in tasks:
        plain = task.identity()
        yield task.identity(seen[plain]) if seen[plain] else plain
        seen[plain] += 1


def read_list(
    lines: Iterable[str], name: str = "the list", common: Task | None = None
) -> Iterator[Task]:
    """Yield the tasks of a list, line by line, like `common` but where it says. Local.

    Raises
    ------
    InputError
        At a line that cannot be a task; names it.
    """
    plain, asked_for_all = common or Task(""), dict[str, Any]()
    for number, line in enumerate(lines, 1):
        text = line.removesuffix("\n").removesuffix("\r")
        try:
            if "\0" in text:
                raise ValueError("it holds a zero byte")
            if text.lstrip().startswith(MARK):
                more = _asked(text.lstrip().removeprefix(MARK))
                asked_for_all = _merged(asked_for_all, more)
                continue
            if not text.strip() or text.lstrip().startswith("#"):
                continue
            command, mark, asked = text.rpartition(f" {MARK}")
            if not mark:
                command, asked = text, ""
            own = _merged(asked_for_all, _asked(asked))
            yield replace(plain, command=command.strip(), **own)
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
        yield from read_list(sys.stdin, "standard input", common)
        return
    try:
        with Path(name).open(errors="surrogateescape") as lines:
            yield from read_list(lines, name, common)
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error


def grid(
    command: str, parameters: Sequence[str], common: Task | None = None
) -> Iterator[Task]:
    """Yield a task for each combination of parameters, the last one changing fastest.

    Local.

    Parameters
    ----------
    command : str
        ``{name}`` stands for a value, quoted for the shell.
    parameters : sequence of str
        ``x=1:10`` or ``x=1:10:3`` (with both ends), ``x=a,b,c``, ``f=@FILE`` (a value
        a line).

    Raises
    ------
    InputError
        If a parameter cannot be read, is given twice, or is not in the command.
    """
    values: dict[str, list[str]] = {}
    for each in parameters:
        name, equals, text = each.partition("=")
        if not equals or not name.isidentifier() or name in values:
            raise InputError(f"--param {each}: give NAME=VALUES, each name once")
        if f"{{{name}}}" not in command:
            raise InputError(f"--param {each}: no {{{name}}} is in {command!r}")
        values[name] = _values(each, text)
    pattern = re.compile("|".join(re.escape(f"{{{name}}}") for name in values))
    for combination in itertools.product(*values.values()):
        found = dict(zip(values, combination, strict=True))

        def value(match: re.Match[str], found: dict[str, str] = found) -> str:
            return shlex.quote(found[match[0][1:-1]])

        line = pattern.sub(value, command) if values else command
        yield replace(common or Task(""), command=line)


def part_of(tasks: Sequence[Task], part: str) -> list[Task]:
    """Return the tasks of one part, ``I/N`` with I from 1; all of them without. Local.

    Every N-th one, so that neighbours, which are often alike, are spread.

    Raises
    ------
    ValueError
        If it is no part.
    """
    if not part:
        return list(tasks)
    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", part, re.ASCII)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError(f"--part {part}: give I/N, I from 1 to N")
    return list(tasks[int(found[1]) - 1 :: int(found[2])])


def as_line(task: Task) -> str:
    """Return a task as `read_list` reads it. Local."""
    words = []
    for word, (name, _) in WORDS.items():
        value = getattr(task, name)
        if value != getattr(Task(""), name):
            text = ",".join(value) if isinstance(value, tuple) else f"{value}"
            words.append(f"{word}={text.removesuffix('.0')}")
    words += [f"env.{name}={value}" for name, value in task.environ.items()]
    if not words:
        return task.command
    return f"{task.command} {MARK} {shlex.join(words)}"


def _values(given: str, text: str) -> list[str]:
    if text.startswith("@"):
        try:
            lines = Path(text[1:]).read_text(errors="surrogateescape").split("\n")
        except OSError as error:
            raise InputError(f"--param {given}: {error.strerror}") from error
        if any("\0" in each for each in lines):
            raise InputError(f"--param {given}: a value holds a zero byte")
        return lines[:-1] if lines[-1] == "" else lines
    if re.fullmatch(r"-?\d+:-?\d+(:\d+)?", text):
        first, last, *step = map(int, text.split(":"))
        by = step[0] if step else 1
        if by == 0:
            raise InputError(f"--param {given}: a step of 0 has no end")
        return [str(n) for n in range(first, last + 1, by)]
    return text.split(",")


def _stamp(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except OSError:
        return []  # a task may make what it will read
    return [stat.st_size, stat.st_mtime_ns]


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


def _asked(text: str) -> dict[str, Any]:
    """Return the fields that the words behind a mark set."""
    found: dict[str, Any] = {}
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if equals and name in WORDS:
            key, read = WORDS[name]
            found[key] = read(value)
        elif equals and name.startswith("env."):
            found.setdefault("environ", {})[name.removeprefix("env.")] = value
        else:
            known = ", ".join(WORDS)
            raise ValueError(f"{word!r} is not one of {known}, env.NAME with =VALUE")
    return found


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a task: its own over the common ones."""
    found = {**common, **own}
    if environ := {**common.get("environ", {}), **own.get("environ", {})}:
        found["environ"] = environ
    return found
