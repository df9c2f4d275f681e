"""Tasks as lines of a list, for `task_list.read_list`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from mpiapps.base.errors import InputError
from mpiapps.taskfarm.task_list import ATTRIBUTES, MARK, Task, read_list

UNSAFE = re.compile(r"[\x00-\x1f\x7f]|^[ #\ufeff]| $")  # characters that need escapes
UNITS = {"memory": "B"}  # units that `as_line` adds, where the parser needs one


def as_lines(tasks: Sequence[Task]) -> Iterator[str]:
    """Yield tasks as lines for `read_list`, with the dependencies among them."""
    names = {task.name for task in tasks}
    stage = tasks[0].stage if tasks else 0
    for task in tasks:
        if task.stage > stage:
            stage = task.stage
            yield f"{MARK} barrier"
        after = tuple(name for name in task.after if name in names)
        yield as_line(replace(task, after=after) if task.after else task)


def as_line(task: Task) -> str:
    """Return a task as a line for `read_list`; barriers are lines of their own."""
    task = replace(task, stage=0) if task.stage else task
    attributes = []
    for key, (name, _) in ATTRIBUTES.items():
        value = getattr(task, name)
        value = int(value) if isinstance(value, float) else value
        if value != getattr(Task(""), name):
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            attributes.append(f"{key}={text}{UNITS.get(key, '')}")
    attributes += [f"env.{name}={value}" for name, value in task.environ.items()]
    line = _join(task.command, attributes)
    if "\n" not in line and not line.startswith("\ufeff"):
        with suppress(InputError):
            if list(read_list([line])) == [task]:
                return line
    text = task.command.replace("\\", "\\\\")
    text = UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return _join(text, [*attributes, "escapes=yes"])


def _join(command: str, attributes: Sequence[str]) -> str:
    """Return a line of a list; add an empty mark if the command contains one."""
    if not attributes and f" {MARK}" not in command:
        return command
    # A mark inside an attribute is quoted, so that the last mark remains the right one.
    text = shlex.join(attributes).replace(f" {MARK}", f" ''{MARK}")
    return f"{command} {MARK} {text}".rstrip()
