"""Ranks watch their launcher and its daemons, not the parents of the launcher."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mpiapps.base.processes import process, start_of
from mpiapps.launch.launcher_watch import launchers_above

SHOW = """
import os
from mpiapps.launch.launcher_watch import launchers_above
print(*(each.name for each in launchers_above(os.getppid())), flush=True)
"""
# Names of processes, each the parent of the next, and those that are watched.
CHAINS = [
    ("sh", ""),
    ("prterun", "prterun"),
    ("mpiexec hydra_pmi_proxy", "hydra_pmi_proxy mpiexec"),
    ("mpiexec.hydra hydra_bstrap_proxy", "hydra_bstrap_pr mpiexec.hydra"),
    ("prterun timeout sh", "prterun"),  # wrappers of the rank
    ("bash prterun", "prterun"),  # a script, which may end earlier
    ("mpiexec python mpiexec hydra_pmi_proxy", "hydra_pmi_proxy mpiexec"),
    ("slurmstepd bash", "slurmstepd"),
    ("my mpiexec) 0 0", ""),
]


def chain_command(names, directory, *argv):
    """Return the command that starts a chain of shells with these names."""
    command = [sys.executable, *argv]
    for name in reversed(names):
        shell = directory / name
        if not shell.exists():
            shell.symlink_to("/bin/sh")
        command = [str(shell), "-c", '"$@"; exit $?', name, *command]
    return command


@pytest.mark.parametrize(("chain", "watched"), CHAINS)
def test_launchers_and_daemons_are_detected(chain, watched, tmp_path):
    names = [chain] if ")" in chain else chain.split()
    command = chain_command(names, tmp_path, "-c", SHOW)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == watched.split()


def test_init_is_not_watched():
    assert launchers_above(1) == []
    assert launchers_above(0) == []  # the launcher is outside of the PID namespace


def test_reparented_process_keeps_its_start_time():
    with subprocess.Popen(
        ["sh", "-c", "sleep 30 & echo $!; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as shell:
        pid = int(shell.stdout.readline())
        before = process(pid)
        shell.stdin.close()
        shell.wait()
    assert start_of(pid) == before.start
    assert process(pid).parent != before.parent
    os.kill(pid, signal.SIGKILL)


def test_zombie_has_no_start_time():
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{child.pid}").exists()
        assert start_of(child.pid) is None


WAIT = """
import os, signal, sys, time
from mpiapps.launch import launcher_watch
from mpiapps.launch.launcher_watch import end_with_launcher
launcher_watch.POLL_SECONDS = launcher_watch.GRACE_SECONDS = 0.3
if sys.argv[1] == "cleans up":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("saved"))
if sys.argv[1] == "ignores it":
    signal.signal(signal.SIGTERM, lambda *_: None)
end_with_launcher()
print(os.getppid(), flush=True)
time.sleep(30)
time.sleep(30)
"""
# The last line that the rank prints.
LAST_LINE = {
    "has no handler": "has ended",
    "cleans up": "saved",
    "ignores it": "has ended",
}


@pytest.mark.parametrize("handler", LAST_LINE)
def test_rank_ends_with_its_launcher(handler, tmp_path):
    command = chain_command(["prterun"], tmp_path, "-c", WAIT, handler)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as top:
        parent = int(top.stdout.readline())
        os.kill(parent, signal.SIGKILL)
        _, err = top.communicate(timeout=20)  # until all writers have ended
    assert f"the launcher prterun (process {parent}) has ended" in err
    assert LAST_LINE[handler] in err
