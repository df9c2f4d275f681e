"""Tasks that hang, crash and fail, for child processes: they load no MPI."""

import ctypes
import os
import signal
import sys
import threading
import time
from pathlib import Path

from mpiapps.tasks.task_set import TaskFailure, TaskSet


class Unloadable:
    """Can be pickled, and not unpickled."""

    def __reduce__(self):
        return int, ("no number",)


class TwoArguments(Exception):
    """Fails when it is unpickled: its class wants two arguments."""

    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


class Limited(TaskSet):
    """Task n does what `acts[n]` names; the result is its process."""

    def __init__(self, acts, directory=""):
        self.acts, self.directory = acts, directory

    def __len__(self):
        return len(self.acts)

    def run(self, numbers):
        for number in numbers:
            yield self.act(number, self.acts[number])

    def act(self, number, act):
        if act:
            return getattr(self, act.replace(" ", "_"))(number)
        return os.getpid()

    def hang(self, _number):
        time.sleep(60)

    def hang_with_a_child(self, _number):
        # In a process group of its own, as timeout(1) makes it.
        os.system(f"timeout 60 sh -c 'sleep 60; : {self.directory}'")

    def segfault(self, _number):
        os.kill(os.getpid(), signal.SIGSEGV)

    def real_time_signal(self, _number):
        os.kill(os.getpid(), 40)

    def exit(self, _number):
        sys.exit(3)

    def leave_a_process_and_exit(self, _number):
        if os.fork() == 0:
            time.sleep(30)
        os._exit(3)

    def send_a_part(self, _number):
        """Write the beginning of a reply, as large ones are written."""
        replies = int(sys.argv[2])
        os.write(replies, (100).to_bytes(8) + b"part")
        time.sleep(60)

    def return_twice(self, _number):
        os.fork()
        return os.getpid()

    def end_later(self, _number):
        threading.Timer(0.2, os._exit, [9]).start()
        return os.getpid()

    def hold_the_interpreter(self, _number):
        ctypes.PyDLL(None).sleep(60)

    def fail(self, number):
        return TaskFailure(number, "it failed")

    def raise_error(self, _number):
        raise ValueError("raised")

    def raise_unpicklable(self, _number):
        raise TwoArguments("raised", "so")

    def unpicklable(self, _number):
        return lambda: 0

    def unloadable(self, _number):
        return Unloadable()

    def crash_once(self, number):
        path = Path(self.directory, f"tried-{number}")
        if not path.exists():
            path.touch()
            os._exit(1)
        return os.getpid()
