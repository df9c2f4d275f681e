"""A signal at any moment of a command's start leaves no process of it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from mpiapps.launch.children import Children, signals_deferred
from tests.commands import marked

# It signals its parent before the parent's call that started it has returned.
CHILD = "import os, signal, time; os.kill(os.getppid(), {0}); time.sleep(300)"
PARENT = """
import os, signal, subprocess, sys
from mpiapps.launch.children import Children

start = subprocess.Popen
def slow(*words, **options):
    process = start(*words, **options)
    signal.sigtimedwait([], 1)  # the signal of the child arrives here
    return process
subprocess.Popen = slow
with Children() as children, open(os.devnull, "wb") as output:
    children.start([sys.executable, "-c", sys.argv[1]], output, os.environ)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_a_process_starts_ends_it(number):
    mark = os.urandom(8).hex()
    ended = subprocess.run(
        [sys.executable, "-c", PARENT, CHILD.format(int(number))],
        env=os.environ | {"TEST_MARK": mark},
        timeout=60,
        capture_output=True,
        check=False,
    )
    assert ended.returncode != 0
    assert marked(mark) == {}, ended.stderr


def test_a_process_that_ignores_sigterm_is_killed(monkeypatch, tmp_path):
    monkeypatch.setattr("mpiapps.launch.children.GRACE_SECONDS", 0.2)
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    with (tmp_path / "log").open("wb") as output, Children() as children:
        process = children.start(["sh", "-c", script], output, os.environ)
        while not (tmp_path / "log").stat().st_size:
            time.sleep(0.01)
    assert process.returncode == -signal.SIGKILL


def test_an_ignored_signal_stays_ignored():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Children(), signals_deferred():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_handlers_are_restored_and_signals_handled_after_the_block():
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    done = False
    with pytest.raises(KeyboardInterrupt), Children(), signals_deferred():
        signal.raise_signal(signal.SIGINT)
        done = True
    assert done
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before
