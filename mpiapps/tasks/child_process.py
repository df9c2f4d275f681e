"""Tasks in child processes: a time limit, retries, and a crash costs one task."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from mpiapps.base.errors import LaunchError
from mpiapps.base.launch_environment import without_rank_variables
from mpiapps.base.units import format_seconds
from mpiapps.tasks.end_with_parent import end_with_parent
from mpiapps.tasks.task_set import Chunks, TaskFailure, TaskSet

EXIT_SECONDS = 5.0  # from the end of a child's pipe to that of the child


class InChildProcess(TaskSet):
    """Tasks that run in a child process of the process that would run them.

    A `TaskSet` itself, so any executor runs it. A task that ends its process, or takes
    too long, fails alone.

    Parameters
    ----------
    tasks : TaskSet
        Picklable; each child gets it once.
    seconds : float
        Time limit of a task; 0: none.
    retries : int
        Times that a task that failed is run again.
    max_tasks : int
        Tasks after which a child is replaced, for code that leaks memory; 0: never.

    Notes
    -----
    Cost: some 0.1 ms a task, and the start of Python with the imports of the tasks for
    each child.
    """

    def __init__(
        self, tasks: TaskSet, seconds: float = 0, retries: int = 0, max_tasks: int = 0
    ) -> None:
        self._tasks, self._seconds, self._retries = tasks, seconds, retries
        self._max_tasks = max_tasks
        self.unit, self.timer = tasks.unit, tasks.timer
        self.nbytes, self.n_jobs = tasks.nbytes, tasks.n_jobs
        self._children = threading.local()  # a child for each thread that runs tasks

    def __reduce__(self) -> Any:
        """Return how to make a copy, which has no children."""
        limits = self._seconds, self._retries, self._max_tasks
        return InChildProcess, (self._tasks, *limits)

    def __len__(self) -> int:
        """Return the number of tasks."""
        return len(self._tasks)

    def run(self, numbers: Sequence[int]) -> Iterator[Any]:
        """Yield the result of each task, or a `TaskFailure`."""
        for number in numbers:
            for _ in range(1 + self._retries):
                value = self._attempt(number)
                if not isinstance(value, TaskFailure):
                    break
            yield value

    def close(self) -> None:
        """End the child of this thread."""
        if (child := getattr(self._children, "child", None)) is not None:
            child.kill()
            self._children.child = None

    def _attempt(self, number: int) -> Any:
        child = getattr(self._children, "child", None)
        if child is None or child.tasks == self._max_tasks > 0:
            self.close()
            child = self._children.child = _Child(self._tasks)
        value = child.run(number, self._seconds)
        if not child.kill.alive:
            self._children.child = None
        return value

    def key(self, number: int) -> Any:
        """Return what identifies a task in a later run."""
        return self._tasks.key(number)

    def chunks(self, pending: np.ndarray, size: int) -> Chunks:
        """Return the pending tasks in chunks."""
        return self._tasks.chunks(pending, size)

    def cost(self, numbers: Sequence[int]) -> float:
        """Return the units of work in tasks."""
        return self._tasks.cost(numbers)

    def is_valid(self, number: int, value: Any) -> bool:
        """Return whether a recorded result still holds. Root only."""
        return self._tasks.is_valid(number, value)

    def for_root(self, number: int, value: Any) -> Any:
        """Return the part of a result that the root needs."""
        return self._tasks.for_root(number, value)

    def pack(self, values: list[Any]) -> Any:
        """Return results as they are sent to the root."""
        return self._tasks.pack(values)


class _Child:
    """A process that runs one task after the other."""

    def __init__(self, tasks: TaskSet) -> None:
        self.tasks = 0
        self._pipe, other = Pipe()
        with other:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "mpiapps.tasks.child_process",
                    f"{other.fileno()}",
                ],
                env=without_rank_variables(os.environ),
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                start_new_session=True,  # what a task has started is killed, too
            )
        self.kill = weakref.finalize(self, _kill, self._process, self._pipe)
        try:
            self._pipe.send(sys.path)
            self._pipe.send_bytes(pickle.dumps(tasks))
            self._pipe.recv()  # imports do not count against the first task's limit
        except (EOFError, ConnectionError) as error:
            self._process.wait()
            raise LaunchError(
                f"a child process for tasks did not start: {self._exit_status()}, its"
                " error is above; tasks must be importable, and not be of __main__"
            ) from error

    def run(self, number: int, seconds: float) -> Any:
        """Return the result of a task, or a `TaskFailure`; raise as the task does."""
        self.tasks += 1
        try:
            self._pipe.send(number)
            if not self._pipe.poll(seconds or None):
                self.kill()
                limit = format_seconds(seconds)
                return TaskFailure(number, f"terminated at its time limit of {limit}")
            raised, content = self._pipe.recv()
        except (EOFError, ConnectionError):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(EXIT_SECONDS)
            self.kill()
            return TaskFailure(number, f"its process ended with {self._exit_status()}")
        try:
            value = pickle.loads(content)
        except Exception as error:
            return TaskFailure(number, f"its result cannot be unpickled: {error!r}")
        if raised:
            raise value
        return value

    def _exit_status(self) -> str:
        code = self._process.returncode
        if code < 0:
            return f"signal {-code} ({signal.Signals(-code).name})"
        return f"exit code {code}"


def _kill(process: subprocess.Popen[bytes], pipe: Connection) -> None:
    """Kill a child and what it has started, and wait for its end."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    pipe.close()


def serve(pipe: Connection) -> None:
    """Run the tasks that the parent sends, until it closes the pipe or ends."""
    end_with_parent(os.getppid())
    sys.path[:] = pipe.recv()
    tasks: TaskSet = pickle.loads(pipe.recv_bytes())
    tasks.prepare()
    pipe.send("ready")
    with suppress(EOFError):
        while True:
            number = pipe.recv()
            try:
                reply = False, pickle.dumps(next(iter(tasks.run([number]))))
            except Exception as error:
                reply = True, pickle.dumps(error)
            pipe.send(reply)


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
