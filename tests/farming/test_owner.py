"""Two managers never have one directory."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mpiapps.base.errors import LaunchError, ReadWriteError
from mpiapps.farming.owner import Owner

HOLD = """
import errno, fcntl, sys, time
def refuse(*_):
    raise OSError(errno.ENOSYS, "Function not implemented")
if sys.argv[2] == "no locks":
    fcntl.flock = refuse
from pathlib import Path
from mpiapps.farming.owner import Owner
with Owner(Path(sys.argv[1])):
    print("here", flush=True)
    time.sleep(60)
"""


@pytest.fixture(params=["locks", "no locks"], autouse=True)
def locks(request, monkeypatch):
    """Whether the file system has locks; Lustre may be mounted without."""

    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    if request.param == "no locks":
        monkeypatch.setattr(fcntl, "flock", refuse)
    return request.param


@pytest.fixture
def other(tmp_path, locks):
    """Another process of this host that manages the directory."""
    path = tmp_path / "owner"
    command = [sys.executable, "-c", HOLD, str(path), locks]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        assert job.stdout.readline() == "here\n"
        yield job
        job.kill()


def test_one_after_the_other(tmp_path):
    for _ in range(2):
        with Owner(tmp_path / "owner"):
            pass
    assert (tmp_path / "owner").read_bytes() == b""


@pytest.mark.parametrize("take_over", [False, True])
def test_a_living_manager_is_named_and_kept(tmp_path, other, take_over):
    said = rf"is at work: process {other.pid} on "
    with (
        pytest.raises(LaunchError, match=said),
        Owner(tmp_path / "owner", take_over=take_over),
    ):
        pass
    assert json.loads((tmp_path / "owner").read_text())["pid"] == other.pid


def test_a_killed_manager_of_this_host_is_followed(tmp_path, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    with Owner(tmp_path / "owner"):
        assert json.loads((tmp_path / "owner").read_text())["pid"] == os.getpid()


def test_a_manager_of_another_host_is_followed_only_if_asked(tmp_path):
    path = tmp_path / "owner"
    path.write_text(json.dumps({"host": "node-7", "pid": 1, "job": "42"}))
    said = r"was left by process 1 on node-7, job 42, .* give --take-over"
    with pytest.raises(LaunchError, match=said), Owner(path):
        pass
    with Owner(path, take_over=True):
        pass


def test_an_earlier_start_of_the_same_job_is_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    path = tmp_path / "owner"
    path.write_text(json.dumps({"host": "node-7", "pid": 1, "job": "42"}))
    with Owner(path):
        pass


def test_a_torn_file_is_nobodys(tmp_path):
    path = tmp_path / "owner"
    path.write_text('{"host": "nod')
    with Owner(path):
        pass


def test_a_directory_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    gone = Owner(tmp_path / "file" / "owner")
    with pytest.raises(ReadWriteError, match=r"cannot make .*: File exists"), gone:
        pass


def test_one_of_many_that_come_at_once_is_the_manager(tmp_path, locks):
    """Also where the one before them was killed, and each could take its turn."""
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
        [manager] = [job for job in jobs if job.poll() is None]
        assert json.loads((tmp_path / "owner").read_text())["pid"] == manager.pid
        manager.kill()
        assert [job.communicate()[0] for job in jobs].count("here\n") == 1
