"""A directory lock has at most one owner."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mpiapps.base.errors import FileAccessError, LaunchError
from mpiapps.storage.directory_lock import DirectoryLock

HOLD = """
import errno, fcntl, sys, time
def refuse(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")
if sys.argv[2] == "no locks":
    fcntl.flock = refuse
from pathlib import Path
from mpiapps.storage.directory_lock import DirectoryLock
with DirectoryLock(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["locks", "no locks"], autouse=True)
def locks(request, monkeypatch):
    """File systems with and without locks; Lustre may be mounted without."""

    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    if request.param == "no locks":
        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


@pytest.fixture
def other(tmp_path, locks):
    """Another process of this host that holds the lock."""
    path = tmp_path / "owner"
    command = [sys.executable, "-c", HOLD, str(path), locks]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline() == "locked\n"
        yield job
        job.kill()


def test_released_lock_can_be_acquired(tmp_path):
    for _ in range(2):
        with DirectoryLock(tmp_path / "owner"):
            pass
    assert (tmp_path / "owner").read_bytes() == b""


@pytest.mark.parametrize("force_unlock", [False, True])
def test_running_owner_keeps_the_lock(tmp_path, other, force_unlock):
    message = rf"is locked by process {other.pid} on .*, which is still running"
    with (
        pytest.raises(LaunchError, match=message),
        DirectoryLock(tmp_path / "owner", force_unlock=force_unlock),
    ):
        pass
    assert json.loads((tmp_path / "owner").read_text())["pid"] == other.pid


def test_lock_of_killed_process_on_this_host_is_acquired(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with DirectoryLock(tmp_path / "owner"):
        assert json.loads((tmp_path / "owner").read_text())["pid"] == os.getpid()


def test_lock_of_another_host_needs_force_unlock(tmp_path):
    path = tmp_path / "owner"
    path.write_text(json.dumps({"host": "node-7", "pid": 1, "job": "42"}))
    message = r"is locked by process 1 on node-7, job 42, .* give --force-unlock"
    with pytest.raises(LaunchError, match=message), DirectoryLock(path):
        pass
    with DirectoryLock(path, force_unlock=True):
        pass


def test_lock_of_earlier_start_of_same_job_is_acquired(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    path = tmp_path / "owner"
    path.write_text(json.dumps({"host": "node-7", "pid": 1, "job": "42"}))
    with DirectoryLock(path):
        pass


def test_incomplete_lock_file_has_no_owner(tmp_path):
    path = tmp_path / "owner"
    path.write_text('{"host": "nod')
    with DirectoryLock(path):
        pass


def test_directory_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    lock = DirectoryLock(tmp_path / "file" / "owner")
    with pytest.raises(FileAccessError, match=r"cannot make .*: File exists"), lock:
        pass


def test_one_of_many_concurrent_processes_acquires_the_lock(tmp_path, locks):
    """Also after the previous owner was killed."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "owner"), locks]
    for _ in range(2):
        jobs = [
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            for _ in range(4)
        ]
        ended = 0
        while ended < len(jobs) - 1:
            ended = sum(job.poll() is not None for job in jobs)
            time.sleep(0.01)
        [owner] = [job for job in jobs if job.poll() is None]
        assert json.loads((tmp_path / "owner").read_text())["pid"] == owner.pid
        owner.kill()
        assert [job.communicate()[0] for job in jobs].count("locked\n") == 1
