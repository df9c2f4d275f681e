import os
import subprocess
import sys

import pytest

from mpiapps.base.replacing import open_beside, put_in_place


def test_a_file_that_is_not_writable_is_refused(tmp_path, monkeypatch):
    target = tmp_path / "x"
    target.write_text("old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)  # root may write to any file
        with pytest.raises(PermissionError, match="not writable"):
            open_beside(target)
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_the_longest_names_can_be_replaced(tmp_path):
    target = tmp_path / ("é" * 127)
    for _ in range(2):
        number, part = open_beside(target)
        os.close(number)
        put_in_place(part, target)
    assert [each.name for each in tmp_path.iterdir()] == [target.name]


def test_what_replaces_a_private_file_is_private_from_the_start(tmp_path):
    target = tmp_path / "x"
    target.touch(mode=0o600)
    number, part = open_beside(target)
    assert os.fstat(number).st_mode & 0o777 == 0o600
    os.close(number)
    part.unlink()


def test_what_a_killed_process_left_is_removed_by_the_next_of_its_target(tmp_path):
    """What living processes, or those of other hosts, are about to write is not."""
    target, other = tmp_path / "x", tmp_path / "y"
    code = (
        "import os, sys; from pathlib import Path\n"
        "from mpiapps.base.replacing import open_beside\n"
        "for name in sys.argv[1:]: open_beside(Path(name))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(target), str(other)]
    subprocess.run(command, check=False)
    assert len(list(tmp_path.iterdir())) == 2
    (foreign := tmp_path / ".x.node-7.1234567.0123456789ab.part").touch()
    parts = []
    for _ in range(2):
        number, part = open_beside(target)
        os.close(number)
        parts.append(part)
    [left] = {*tmp_path.iterdir()} - {foreign, *parts}
    assert left.name.startswith(".y.")
