"""Files for the standard output of tasks: ``stdout=FILE`` with placeholders."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from mpiapps.base.errors import InputError
from mpiapps.base.streams import abbreviated
from mpiapps.taskfarm.output_files import PART, is_stream
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
    listed: Mapping[str, Task], done: Mapping[str, str], own_file: Callable[[str], str]
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
    own_file : callable
        As of `own_files.own_file_of`.

    Raises
    ------
    InputError
        If a placeholder has no value, if a task would replace a file of the farm, or
        the `stdout` or one of the `outputs` of another task.
    """
    named, writers = dict[str, Task](), dict[str, str]()
    resolve = _path_resolver()
    for seq, (identity, task) in enumerate(listed.items(), 1):
        if not task.stdout:
            named[identity] = task
            continue
        values = {"seq": str(seq), "task": identity, "name": task.name}
        stdout = with_values(task.stdout, {k: v for k, v in values.items() if v})
        if match := PLACEHOLDER.search(stdout):
            raise InputError(_no_value(task, match[0]))
        path = resolve(Path(task.directory, stdout))
        if name := own_file(path):
            command = abbreviated(task.command)
            raise InputError(
                f"{command}: stdout={task.stdout}: it would replace {name}; give"
                " another name"
            )
        other = writers.setdefault(path, identity)
        if other != identity and not is_stream(Path(path)):
            raise InputError(_both_write(listed[other], task, path))
        named[identity] = replace(task, stdout=stdout)
    for identity, task in listed.items() if writers else ():
        for output in task.outputs:
            path = resolve(Path(task.directory, output))
            for final in (path, path.removesuffix(PART)):
                other = writers.get(final, identity)
                if other != identity and not is_stream(Path(final)):
                    raise InputError(_both_write(task, listed[other], path))
    done = {resolve(Path(path)): writer for path, writer in done.items()}
    for path, identity in writers.items():
        final = path.removesuffix(PART)
        other = writers.get(final, identity)
        if other != identity and not is_stream(Path(final)):
            raise InputError(_both_write(listed[other], listed[identity], path))
        writer = done.get(path, identity)
        if writer != identity and writer in listed:
            command = abbreviated(listed[writer].command, quoted=True)
            raise InputError(
                f"stdout={listed[identity].stdout}: {path} holds the output of"
                f" {command}, which an earlier run has done;"
                " if the list was edited, {seq} has changed: use {name} or {task}, or"
                " another directory"
            )
    return named


def _path_resolver() -> Callable[[Path], str]:
    """Return a function that resolves symbolic links, as `os.path.realpath` does.

    It asks the file system once for each directory: a list may have 10^6 outputs.
    """

    @lru_cache(1024)
    def look_up(directory: Path) -> tuple[str, set[str]]:
        """Return the resolved path of a directory, and its symbolic links."""
        real = os.path.realpath(directory)
        try:
            with os.scandir(real) as entries:
                return real, {entry.name for entry in entries if entry.is_symlink()}
        except OSError:  # it does not exist
            return real, set()

    def resolve(path: Path) -> str:
        real, links = look_up(path.parent)
        if path.name in ("", "..") or path.name in links:
            return os.path.realpath(path)
        return f"{real.rstrip('/')}/{path.name}"

    return resolve


def _both_write(first: Task, second: Task, path: str) -> str:
    """Return the error for two tasks with one output file."""
    commands = [abbreviated(each.command, quoted=True) for each in (first, second)]
    return (
        f"stdout={second.stdout}: {' and '.join(commands)} would both write {path};"
        " use {seq}, {task}, or a {name} that each task has of its own"
    )


def _no_value(task: Task, placeholder: str) -> str:
    """Return the error for a placeholder that remains."""
    command = abbreviated(task.command)
    if placeholder == "{name}":
        return f"{command}: stdout={task.stdout}, and the task has no name="
    return (
        f"{command}: stdout={task.stdout}: {placeholder} is not"
        " one of {seq}, {name}, {task}, or a --param"
    )
