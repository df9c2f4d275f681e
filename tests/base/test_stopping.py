"""Signals that come while Python ends do not change how it ends."""

import subprocess
import sys

import pytest

# The last object is deleted when Python has given its signals back to the system.
LATE = """
import os, signal, sys
from mpiapps.base import stopping

class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.{name}):
        kill(pid, number)

stopping.watch()
sys.last = Last()
sys.exit(75)
"""


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM"])
def test_a_signal_at_the_end_leaves_the_exit_code(name):
    code = LATE.format(name=name)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 75
