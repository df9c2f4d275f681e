import os
import shutil
import socket
import sys

import pytest

from mpiapps.base.launch_environment import JOB_ID_VARIABLES
from mpiapps.kernels.cache import cache_directory
from tests.commands import run


def test_a_compiled_kernel_is_cached_for_other_processes(tmp_path):
    code = (
        "from mpiapps.kernels.jit import is_cached\n"
        "from mpiapps.kernels.pi import count_darts, count_strata\n"
        "before = is_cached(count_darts)\n"
        "count_darts(0, 0, 0, 9, False)\n"
        "print(before, is_cached(count_darts), is_cached(count_strata))\n"
    )
    outputs = [
        run([sys.executable, "-c", code], NUMBA_CACHE_DIR=str(tmp_path)).out.strip()
        for _ in range(2)
    ]
    assert outputs == ["False True False", "True True False"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_directory_is_private_and_specific_to_the_host(temporary):
    directory = cache_directory()
    base = temporary / f"mpiapps-{os.getuid()}"
    assert directory.parent == base
    assert base.stat().st_mode & 0o777 == 0o700
    assert socket.gethostname() in directory.name
    assert cache_directory() == directory


@pytest.mark.parametrize("state", ["open", "link", "file", "foreign"])
def test_an_untrusted_directory_is_not_used(temporary, state):
    base = temporary / f"mpiapps-{os.getuid()}"
    if state == "open":
        base.mkdir()
        base.chmod(0o777)
    elif state == "link":
        (temporary / "elsewhere").mkdir(mode=0o700)
        base.symlink_to(temporary / "elsewhere")
    elif state == "file":
        base.touch()
    else:
        base.mkdir(mode=0o700)
        if os.getuid() != 0:
            pytest.fail("this case must run as root, as in CI")
        os.chown(base, 65534, 65534)
    directory = cache_directory()
    assert directory.parent != base
    assert directory.parent.stat().st_mode & 0o777 == 0o700
    assert directory.parent.stat().st_uid == os.getuid()


# TMPDIR as Grid Engine, PBS and sites with Slurm set it, and one of a user.
@pytest.mark.parametrize(
    "case",
    [
        ("JOB_ID", "41", "41.1.all.q", True),
        ("PBS_JOBID", "41.server", "pbs.41.server", True),
        ("SLURM_JOB_ID", "41", "job_41", True),
        ("SLURM_JOB_ID", "41", "scratch", False),
    ],
)
def test_the_directory_outlives_the_job(temporary, monkeypatch, case):
    variable, job, directory, of_job = case
    common, own = temporary / "common", temporary / directory
    common.mkdir()
    own.mkdir()
    monkeypatch.setattr("mpiapps.kernels.cache.COMMON", common)
    monkeypatch.setattr("tempfile.tempdir", str(own))
    for name in JOB_ID_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert cache_directory().parents[1] == own
    monkeypatch.setenv(variable, job)
    assert cache_directory().parents[1] == (common if of_job else own)
    shutil.rmtree(common)
    assert cache_directory().parents[1] == own
