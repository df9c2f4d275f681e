"""Files for the standard output of tasks: ``stdout=FILE`` with placeholders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mpiapps.base.errors import InputError
from mpiapps.base.streams import abbreviated
from mpiapps.taskfarm.task_list import Task

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def with_values(pattern: str, values: Mapping[str, str]) -> str:
    """Return a pattern with the values of a parameter sweep; others remain.

    A slash in a value becomes ``_``, since a value is a part of one file name.
    """

    def value_of(match: re.Match[str]) -> str:
        return values.get(match[1], match[0]).replace("/", "_")

    return PLACEHOLDER.sub(value_of, pattern)


def with_output_names(
    listed: Mapping[str, Task], done: Mapping[str, str]
) -> dict[str, Task]:
    """Return the tasks of a list, with the names of their output files filled in.

    Parameters
    ----------
    listed : mapping of str to Task
        The whole list, by identity. In `stdout`, ``{seq}`` is the position in the
        list, from 1, ``{name}`` that of the task, ``{task}`` its identity.
    done : mapping of str to str
        Absolute paths of files that earlier runs have recorded, and the identities of
        the tasks that wrote them and are done.

    Raises
    ------
    InputError
        If a placeholder has no value, or if two tasks of the list would write one file.
    """
    named, writers = dict[str, Task](), dict[Path, str]()
    for seq, (identity, task) in enumerate(listed.items(), 1):
        if not task.stdout:
            named[identity] = task
            continue
        values = {"seq": str(seq), "task": identity, "name": task.name}
        stdout = with_values(task.stdout, {k: v for k, v in values.items() if v})
        if match := PLACEHOLDER.search(stdout):
            raise InputError(_no_value(task, match[0]))
        path = Path(task.directory, stdout).absolute()
        other = writers.setdefault(path, identity)
        if other != identity:
            first, second = (
                abbreviated(each.command, quoted=True) for each in (listed[other], task)
            )
            raise InputError(
                f"stdout={task.stdout}: {first} and {second} would both write {path};"
                " use {seq}, {task}, or a {name} that each task has of its own"
            )
        named[identity] = replace(task, stdout=stdout)
    for path, identity in writers.items():
        writer = done.get(str(path), identity)
        if writer != identity and writer in listed:
            command = abbreviated(listed[writer].command, quoted=True)
            raise InputError(
                f"stdout={listed[identity].stdout}: {path} holds the output of"
                f" {command}, which an earlier run has done;"
                " if the list was edited, {seq} has changed: use {name} or {task}, or"
                " another directory"
            )
    return named


def _no_value(task: Task, placeholder: str) -> str:
    """Return the error for a placeholder that remains."""
    command = abbreviated(task.command)
    if placeholder == "{name}":
        return f"{command}: stdout={task.stdout}, and the task has no name="
    return (
        f"{command}: stdout={task.stdout}: {placeholder} is not"
        " one of {seq}, {name}, {task}, or a --param"
    )
