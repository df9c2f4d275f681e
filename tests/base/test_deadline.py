"""Signals during the exit of Python do not change the exit code."""

import subprocess
import sys

import pytest

from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import LaunchError

# The last object is deleted after Python has restored the default handlers.
LATE_SIGNAL = """
import os, signal, sys
from mpiapps.base.deadline import Deadline

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.{name}):
        kill(pid, number)

Deadline().install()
sys.last = Last()
sys.exit(75)
"""


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM"])
def test_signal_at_exit_keeps_the_exit_code(name):
    code = LATE_SIGNAL.format(name=name)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 75


@pytest.mark.parametrize(
    ("text", "remaining"), [("", float("inf")), ("0", 0), ("1.5", 0), ("1e12", 9e11)]
)
def test_deadline_of_the_job_script(text, remaining):
    assert Deadline(environ={"MPIAPPS_DEADLINE": text}).remaining() >= remaining
    assert (Deadline(environ={"MPIAPPS_DEADLINE": text}).remaining() > 0) == (
        remaining > 0
    )


@pytest.mark.parametrize("text", ["soon", "nan", "12:00"])
def test_deadline_that_is_no_number_is_an_error(text):
    with pytest.raises(LaunchError, match="MPIAPPS_DEADLINE"):
        Deadline(environ={"MPIAPPS_DEADLINE": text})
