"""The running tasks of one host: from a task attempt to its journal record."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.base.launch_environment import without_rank_variables
from mpiapps.storage.replace_file import real_path, replace_target
from mpiapps.taskfarm.attempt_queue import TaskAttempt
from mpiapps.taskfarm.output_files import (
    FileDigest,
    fsync_and_hash,
    is_stream,
    part_file,
)
from mpiapps.taskfarm.supervisor import Supervisor, wait_for
from mpiapps.taskfarm.task_list import Task, input_files
from mpiapps.taskfarm.task_process import TaskExit

HOST = os.uname().nodename


class HostRunner:
    """Runs tasks for one rank.

    Parameters
    ----------
    cpus : collection of int
        CPUs that the tasks may use.
    shell : str
        Path of the shell that runs the commands.
    """

    def __init__(self, cpus: Collection[int] = (), shell: str = "/bin/sh") -> None:
        self._cpus, self._shell = cpus, shell
        self._environ = without_rank_variables(os.environ)
        self._shared = self._supervisor()
        self._supervisors = [self._shared]
        self._attempts: dict[str, TaskAttempt] = {}
        self._not_started: list[tuple[str, TaskExit]] = []

    @property
    def running(self) -> int:
        """Number of running tasks."""
        return len(self._attempts)

    def submit(self, attempt: TaskAttempt) -> None:
        """Start a task."""
        task = attempt.task
        self._attempts[attempt.name] = attempt
        if missing := [name for name in task.inputs if not input_files(task, name)]:
            task_exit = TaskExit(1, f"no input {missing[0]}")
            self._not_started.append((attempt.name, task_exit))
            return
        threads = {"OMP_NUM_THREADS": str(task.cores)}
        order = {
            "command": task.command,
            "log": attempt.log,
            **({"stdout": str(_stdout(task))} if task.stdout else {}),
            "environ": {**threads, **task.environ},
            "directory": task.directory,
            "shell": self._shell,
            "seconds": task.seconds,
            "memory": task.memory,
        }
        supervisor = self._shared
        if attempt.alone:
            supervisor = self._supervisor()
            self._supervisors.append(supervisor)
        supervisor.start(attempt.name, order)

    def stop(self) -> None:
        """Terminate all running tasks."""
        for supervisor in self._supervisors:
            supervisor.stop()

    def wait(self, timeout: float) -> list[dict[str, Any]]:
        """Return the records of ended tasks; wait up to `timeout` seconds for one."""
        exits, self._not_started = self._not_started, []
        wait_for(self._supervisors, 0 if exits else timeout)
        for supervisor in list(self._supervisors):
            exits += supervisor.poll()
            if supervisor is not self._shared and not supervisor.busy:
                supervisor.close()
                self._supervisors.remove(supervisor)
        return [as_record(self._attempts.pop(name), end) for name, end in exits]

    def close(self) -> None:
        """Kill the running tasks and end the helpers."""
        for supervisor in self._supervisors:
            supervisor.close()

    def _supervisor(self) -> Supervisor:
        return Supervisor(self._cpus, self._environ)


def find_shell(name: str) -> str:
    """Return the absolute path of a shell.

    Raises
    ------
    LaunchError
        If this host does not have it.
    """
    path = shutil.which(name)
    if path is None:
        raise LaunchError(
            f"--shell {name}: no such program on {HOST}; give the name of one that is"
            " on PATH of all hosts, or its path"
        )
    return str(Path(path).absolute())


def as_record(attempt: TaskAttempt, task_exit: TaskExit) -> dict[str, Any]:
    """Return the journal record of an attempt."""
    log_size = None  # no space for a log, or the task was not started
    with suppress(OSError):
        log_size = Path(attempt.log).stat().st_size
    outputs, reason = _outputs(attempt.task) if task_exit.code == 0 else ({}, "")
    if reason:
        task_exit = replace(task_exit, code=1, reason=reason)
    return {
        "task": attempt.name,
        "attempt": attempt.attempt,
        "command": attempt.task.command,
        "host": HOST,
        "log": log_size,
        **vars(task_exit),
        **({"outputs": outputs} if outputs else {}),
    }


def _stdout(task: Task) -> Path:
    """Return the file for standard output; of a symbolic link, the target."""
    return real_path(Path(task.directory, task.stdout))


def _outputs(task: Task) -> tuple[dict[str, FileDigest], str]:
    """Return the digests of a task's outputs, and the error if one is missing."""
    digests = {}
    stdout = [task.stdout] if task.stdout else []
    for name in dict.fromkeys([*stdout, *task.outputs]):
        is_stdout = name in stdout
        path = _stdout(task) if is_stdout else Path(task.directory, name).absolute()
        try:
            if is_stream(path):  # it keeps no content, and to open a FIFO would block
                continue
            if is_stdout:
                replace_target(part_file(path), path)
            digests[str(path)] = fsync_and_hash(path)
        except OSError as error:
            return {}, f"no output {name}: {error.strerror}"
    return digests, ""
