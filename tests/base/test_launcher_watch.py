"""Which processes above a rank have to live for it: launchers, not what starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mpiapps.base.launcher_watch import launchers_above, look

SHOW = """
import os
from mpiapps.base.launcher_watch import launchers_above
print(*(each.name for each in launchers_above(os.getppid())), flush=True)
"""
# Names of processes from the top, each the parent of the next, and who is watched.
CHAINS = [
    ("sh", ""),
    ("prterun", "prterun"),
    ("mpiexec hydra_pmi_proxy", "hydra_pmi_proxy mpiexec"),
    ("mpiexec.hydra hydra_bstrap_proxy", "hydra_bstrap_pr mpiexec.hydra"),
    ("prterun timeout sh", "prterun"),  # wrappers of the rank
    ("bash prterun", "prterun"),  # a script, which may end before it
    ("mpiexec python mpiexec hydra_pmi_proxy", "hydra_pmi_proxy mpiexec"),
    ("slurmstepd bash", "slurmstepd"),
    ("my mpiexec) 0 0", ""),
]


def started(names, folder, *words):
    """Return the command that makes a chain of shells with these names."""
    command = [sys.executable, *words]
    for name in reversed(names):
        shell = folder / name
        if not shell.exists():
            shell.symlink_to("/bin/sh")
        command = [str(shell), "-c", '"$@"; exit $?', name, *command]
    return command


@pytest.mark.parametrize(("chain", "watched"), CHAINS)
def test_launchers_and_their_daemons_are_known(chain, watched, tmp_path):
    names = [chain] if ")" in chain else chain.split()
    command = started(names, tmp_path, "-c", SHOW)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == watched.split()


def test_the_first_process_is_not_watched():
    assert launchers_above(1) == []
    assert launchers_above(0) == []  # of a rank whose launcher is outside its namespace


def test_one_that_has_a_new_parent_is_the_same():
    with subprocess.Popen(
        ["sh", "-c", "sleep 30 & echo $!; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        pid = int(shell.stdout.readline())
        before = look(pid)
        shell.stdin.close()
        shell.wait()
    assert look(pid) == before
    assert look(pid).parent != before.parent
    os.kill(pid, signal.SIGKILL)


def test_a_zombie_has_ended():
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert look(child.pid) is None


WAIT = """
import os, signal, sys, time
from mpiapps.base import launcher_watch
from mpiapps.base.launcher_watch import end_with_launcher
launcher_watch.EVERY = launcher_watch.GRACE = 0.3
if sys.argv[1] == "cleans up":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("saved"))
if sys.argv[1] == "ignores it":
    signal.signal(signal.SIGTERM, lambda *_: None)
end_with_launcher()
print(os.getppid(), flush=True)
time.sleep(30)
time.sleep(30)
"""
# Why the rank is gone, as it prints it.
LAST = {"has no handler": "has ended", "cleans up": "saved", "ignores it": "has ended"}


@pytest.mark.parametrize("way", LAST)
def test_the_end_of_the_launcher_is_the_end_of_the_rank(way, tmp_path):
    command = started(["prterun"], tmp_path, "-c", WAIT, way)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as top:
        parent = int(top.stdout.readline())
        os.kill(parent, signal.SIGKILL)
        _, err = top.communicate(timeout=20)  # until all that hold the outputs are gone
    assert f"the launcher prterun, process {parent}, has ended" in err
    assert LAST[way] in err
