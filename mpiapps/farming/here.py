"""The tasks at work on this host: from what was given to a line of the journal."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpiapps.base.launcher import not_a_rank
from mpiapps.farming.books import Given
from mpiapps.farming.child import Ended
from mpiapps.farming.nursery import Nursery, wait_for
from mpiapps.farming.outputs import Stamp, brought_to_disk
from mpiapps.farming.tasklist import Task, found_inputs

HOST = os.uname().nodename


class Here:
    """The tasks that one rank keeps at work. Local.

    Parameters
    ----------
    cpus : collection of int
        The processors that they may use.
    shell : str
        The path of what reads their commands.
    """

    def __init__(self, cpus: Collection[int] = (), shell: str = "/bin/sh") -> None:
        self._cpus, self._shell = cpus, shell
        self._environ = not_a_rank(os.environ)
        self._shared = self._nursery()
        self._nurseries = [self._shared]
        self._given: dict[str, Given] = {}
        self._refused: list[tuple[str, Ended]] = []

    @property
    def busy(self) -> int:
        """How many tasks are at work."""
        return len(self._given)

    def begin(self, given: Given) -> None:
        """Begin a task."""
        task = given.task
        self._given[given.name] = given
        if missing := [name for name in task.inputs if not found_inputs(task, name)]:
            why = f"no input {missing[0]}"
            self._refused.append((given.name, Ended(1, why)))
            return
        threads = {"OMP_NUM_THREADS": str(task.cores)}
        order = {
            "command": task.command,
            "log": given.log,
            "environ": {**threads, **task.environ},
            "folder": task.folder,
            "shell": self._shell,
            "seconds": task.seconds,
            "memory": task.memory,
        }
        nursery = self._shared
        if given.alone:
            nursery = self._nursery()
            self._nurseries.append(nursery)
        nursery.start(given.name, order)

    def stop(self) -> None:
        """Ask all tasks at work to end."""
        for nursery in self._nurseries:
            nursery.stop()

    def ended(self, seconds: float) -> list[dict[str, Any]]:
        """Return the lines about tasks that have ended; wait for one so long."""
        ended, self._refused = self._refused, []
        wait_for(self._nurseries, 0 if ended else seconds)
        for nursery in list(self._nurseries):
            ended += nursery.poll()
            if nursery is not self._shared and not nursery.busy:
                nursery.close()
                self._nurseries.remove(nursery)
        return [as_record(self._given.pop(name), how) for name, how in ended]

    def close(self) -> None:
        """End what is at work."""
        for nursery in self._nurseries:
            nursery.close()

    def _nursery(self) -> Nursery:
        return Nursery(self._cpus, self._environ)


def as_record(given: Given, ended: Ended) -> dict[str, Any]:
    """Return the line about an attempt. Local."""
    log = None  # there was no room for it, or it was not started
    with suppress(OSError):
        log = Path(given.log).stat().st_size
    outputs, why = _outputs(given.task) if ended.code == 0 else ({}, "")
    if why:
        ended = replace(ended, code=1, why=why)
    return {
        "task": given.name,
        "attempt": given.attempt,
        "command": given.task.command,
        "host": HOST,
        "log": log,
        **vars(ended),
        **({"outputs": outputs} if outputs else {}),
    }


def _outputs(task: Task) -> tuple[dict[str, Stamp], str]:
    """Return the stamps of a task's outputs, and why it has failed for all that."""
    found = {}
    for name in task.outputs:
        path = Path(task.folder, name).absolute()
        try:
            found[str(path)] = brought_to_disk(path)
        except OSError as error:
            return {}, f"no output {name}: {error.strerror}"
    return found, ""
