import os
import socket
import sys

import pytest

from mpiapps.kernels.cache import cache_folder
from tests.launch import run


def test_a_kernel_is_found_once_some_process_compiled_it(tmp_path):
    code = (
        "from mpiapps.kernels.jit import is_cached\n"
        "from mpiapps.kernels.pi import count_darts, count_strata\n"
        "before = is_cached(count_darts)\n"
        "count_darts(0, 0, 0, 9, False)\n"
        "print(before, is_cached(count_darts), is_cached(count_strata))\n"
    )
    told = [
        run([sys.executable, "-c", code], NUMBA_CACHE_DIR=str(tmp_path)).out.strip()
        for _ in range(2)
    ]
    assert told == ["False True False", "True True False"]


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_folder_is_private_and_of_this_host(temporary):
    folder = cache_folder()
    base = temporary / f"mpiapps-{os.getuid()}"
    assert folder.parent == base
    assert base.stat().st_mode & 0o777 == 0o700
    assert socket.gethostname() in folder.name
    assert cache_folder() == folder


@pytest.mark.parametrize("how", ["open", "link", "file", "foreign"])
def test_what_others_may_have_made_is_not_used(temporary, how):
    base = temporary / f"mpiapps-{os.getuid()}"
    if how == "open":
        base.mkdir()
        base.chmod(0o777)
    elif how == "link":
        (temporary / "elsewhere").mkdir(mode=0o700)
        base.symlink_to(temporary / "elsewhere")
    elif how == "file":
        base.touch()
    else:
        base.mkdir(mode=0o700)
        if os.getuid() != 0:
            pytest.fail("this case needs root, as CI has")
        os.chown(base, 65534, 65534)
    folder = cache_folder()
    assert folder.parent != base
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert folder.parent.stat().st_uid == os.getuid()
