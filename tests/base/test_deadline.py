"""Signals during the exit of Python do not change the exit code."""

import subprocess
import sys

import pytest

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
