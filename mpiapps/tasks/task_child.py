"""A process that runs the tasks of one set for its parent, one after the other.

The parent sends pickled task numbers through one pipe. The child replies through
another one: eight bytes of length, then a pickled pair.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import weakref
from contextlib import suppress
from typing import IO, Any

from mpiapps.base.errors import LaunchError
from mpiapps.base.launch_environment import without_rank_variables
from mpiapps.base.processes import end_session
from mpiapps.base.units import format_seconds
from mpiapps.tasks.payload import PickledOutcome, pack_outcome, unpack_outcome
from mpiapps.tasks.task import Call, RemoteTraceback, TaskError, execute_task
from mpiapps.tasks.task_set import TaskFailure, TaskSet

EXIT_SECONDS = 5.0  # from the end of a child's pipe to that of the child
POLL_SECONDS = 0.5  # between tests whether a child has ended and others hold its pipe
LENGTH_BYTES = 8
READ_BYTES = 2**20
PR_SET_PDEATHSIG = 1  # of prctl(2)


class TaskChild:
    """The parent's side.

    Parameters
    ----------
    tasks : TaskSet

    Attributes
    ----------
    count : int
        Tasks that it has begun.

    Raises
    ------
    LaunchError
        If the child cannot load the tasks.
    """

    def __init__(self, tasks: TaskSet) -> None:
        self.count = 0
        orders_read, orders_write = os.pipe()
        replies_read, replies_write = os.pipe()
        argv = ["-m", "mpiapps.tasks.task_child", str(orders_read), str(replies_write)]
        try:
            self._process = subprocess.Popen(
                [sys.executable, *argv, str(os.getpid())],
                env=without_rank_variables(os.environ),
                stdin=subprocess.DEVNULL,
                pass_fds=[orders_read, replies_write],
                start_new_session=True,  # its processes are killed with it
            )
        finally:
            os.close(orders_read)
            os.close(replies_write)
        self._orders, self._replies = os.fdopen(orders_write, "wb"), replies_read
        self.kill = weakref.finalize(
            self, _kill, self._process, self._orders, replies_read, os.getpid()
        )
        try:
            pickle.dump(sys.path, self._orders)
            pickle.dump(tasks, self._orders)
            self._orders.flush()
            self._receive(0)  # imports do not count against the first task's limit
        except (EOFError, BrokenPipeError) as error:
            self._end()
            raise LaunchError(
                f"a child process for tasks did not start: {self._exit_status()}, its"
                " error is above; tasks must be importable, and not be of __main__"
            ) from error

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more tasks."""
        return not self.kill.alive or self._process.poll() is not None

    def run(self, number: int, seconds: float, order: Any = None) -> Any:
        """Return the result of a task, or a `TaskFailure`; raise as the task does.

        The child's task set gets `order`, or the number of the task without one.
        """
        self.count += 1
        content = b""
        try:
            pickle.dump((number, number if order is None else order), self._orders)
            self._orders.flush()
            content = self._receive(seconds)
        except TimeoutError:
            limit = format_seconds(seconds)
            return TaskFailure(number, f"terminated at its time limit of {limit}")
        except (EOFError, BrokenPipeError):
            self._end()
            return TaskFailure(number, f"its process ended with {self._exit_status()}")
        finally:
            if not content:  # interrupted, too: a late reply is not the next task's
                self.kill()
        ok, value = unpack_outcome(number, PickledOutcome(*pickle.loads(content)))
        if ok:
            return value
        if isinstance(value.error, TaskError):  # sys.exit, or nothing to be pickled
            return TaskFailure(number, str(value.error), traceback=value.text)
        raise value.error from RemoteTraceback(value.text, number)

    def _receive(self, seconds: float) -> bytes:
        """Return the content of a reply.

        Raises
        ------
        TimeoutError
            If it is not complete after `seconds`, unless they are 0.
        EOFError
            If the child has ended.
        """
        end = time.monotonic() + (seconds or float("inf"))
        poll = select.poll()
        poll.register(self._replies, select.POLLIN)
        data = bytearray()
        while len(data) < LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES]):
            remaining = end - time.monotonic()
            if remaining <= 0:
                raise TimeoutError
            if poll.poll(1000 * min(remaining, POLL_SECONDS)):
                part = os.read(self._replies, READ_BYTES)
                if not part:
                    raise EOFError
                data += part
            elif self._process.poll() is not None:
                raise EOFError  # what the task has started holds the pipe
        return bytes(data[LENGTH_BYTES:])

    def _end(self) -> None:
        """Wait for the child's own end, then kill what it leaves."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(EXIT_SECONDS)
        self.kill()

    def _exit_status(self) -> str:
        code = self._process.returncode
        if code >= 0:
            return f"exit code {code}"
        names = [f" ({s.name})" for s in signal.Signals if s == -code]
        return f"signal {-code}{''.join(names)}"


def _kill(
    process: subprocess.Popen[bytes], orders: IO[bytes], replies: int, owner: int
) -> None:
    """Kill a child and the other processes of its session; wait for its end."""
    if os.getpid() != owner:  # in a fork of its parent
        return
    process.kill()
    process.wait()
    end_session(process.pid, EXIT_SECONDS)
    with suppress(BrokenPipeError):
        orders.close()
    os.close(replies)


def serve(orders: IO[bytes], replies: IO[bytes], parent: int) -> None:
    """Run the tasks that the parent sends, until it closes the pipe."""
    end_with_thread(parent)
    sys.path[:] = pickle.load(orders)
    tasks: TaskSet = pickle.load(orders)
    tasks.prepare()
    _reply(replies, b"ready")
    call = Call(lambda order: tasks.run_one(order)[1], "one")
    with suppress(EOFError):
        while True:
            number, order = pickle.load(orders)
            outcome = pack_outcome(execute_task(call, number, order), tasks.dumps)
            _reply(replies, pickle.dumps(tuple(outcome)))


def end_with_thread(parent: int) -> None:
    """Let the kernel kill this process when the thread that started it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def _reply(replies: IO[bytes], content: bytes) -> None:
    replies.write(len(content).to_bytes(LENGTH_BYTES) + content)
    replies.flush()


if __name__ == "__main__":
    read, write, parent_pid = map(int, sys.argv[1:])
    for descriptor in (read, write):
        os.set_inheritable(descriptor, False)  # programs that tasks start have none
    serve(os.fdopen(read, "rb"), os.fdopen(write, "wb"), parent_pid)
