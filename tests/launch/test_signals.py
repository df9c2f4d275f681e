"""Signals to a process and to its forked children."""

import subprocess
import sys

import pytest

FORKS = """
import os, signal, sys, threading, time

os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.{name}))
from mpiapps.launch.signals import DELAY, SignalWatch

blocked, ended, masks = [], [], []

def fork():
    child = os.fork()
    if not child:
        os._exit(0)
    ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, []))

with SignalWatch(lambda number, frame: blocked.append(number)):
    fork()
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
    time.sleep(4 * DELAY)
print(blocked, ended, masks)
"""


# Python ignores KeyboardInterrupt in functions that run after a fork.
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", -15), ("SIGINT", 0)])
def test_signal_to_new_child_does_not_affect_the_parent(name, code):
    done = subprocess.run(
        [sys.executable, "-c", FORKS.format(name=name)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == f"[] {[code, code]} [set(), set()]\n", done.stderr
