"""Tasks that hang, crash and fail, for child processes: they load no MPI."""

import os
import sys
import time
from pathlib import Path

from mpiapps.tasks.task_set import TaskFailure, TaskSet


class Unloadable:
    """Can be pickled, and not unpickled."""

    def __reduce__(self):
        return int, ("no number",)


class Limited(TaskSet):
    """Task n does what `acts[n]` names; the result is its process."""

    def __init__(self, acts, folder=""):
        self.acts, self.folder = acts, folder

    def __len__(self):
        return len(self.acts)

    def run(self, numbers):
        for number in numbers:
            yield self.act(number, self.acts[number])

    def act(self, number, act):
        if act == "hang":
            time.sleep(60)
        elif act == "hang with a child":
            os.system("sleep 77.25")
        elif act == "segfault":
            os.kill(os.getpid(), 11)
        elif act == "exit":
            sys.exit(3)
        elif act == "fail":
            return TaskFailure(number, "it failed")
        elif act == "raise":
            raise ValueError("raised")
        elif act == "unpicklable":
            return lambda: 0
        elif act == "unloadable":
            return Unloadable()
        elif act == "once":  # it crashes at its first attempt
            path = Path(self.folder, f"tried-{number}")
            if not path.exists():
                path.touch()
                os._exit(1)
        return os.getpid()
