import os
import subprocess
import sys

import pytest

from mpiapps.storage.replace_file import create_temporary, replace_target


def test_unwritable_file_is_an_error(tmp_path, monkeypatch):
    target = tmp_path / "x"
    target.write_text("old")
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda *_: False)  # root may write to any file
        with pytest.raises(PermissionError, match="not writable"):
            create_temporary(target)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_files_with_the_longest_names_can_be_replaced(tmp_path):
    target = tmp_path / ("é" * 127)
    for _ in range(2):
        descriptor, part = create_temporary(target)
        os.close(descriptor)
        replace_target(part, target)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_temporary_file_of_private_file_is_private(tmp_path):
    target = tmp_path / "x"
    target.touch(mode=0o600)
    descriptor, part = create_temporary(target)
    assert os.fstat(descriptor).st_mode & 0o777 == 0o600
    os.close(descriptor)
    part.unlink()


def test_stale_temporary_file_of_same_target_is_removed(tmp_path):
    """Temporary files of running processes and of other hosts are kept."""
    target, other = tmp_path / "x", tmp_path / "y"
    code = (
        "import os, sys; from pathlib import Path\n"
        "from mpiapps.storage.replace_file import create_temporary\n"
        "for name in sys.argv[1:]: create_temporary(Path(name))\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(target), str(other)]
    subprocess.run(command, check=False)
    assert len(list(tmp_path.iterdir())) == 2
    (foreign := tmp_path / ".x.node-7.1234567.0123456789ab.part").touch()
    parts = []
    for _ in range(2):
        descriptor, part = create_temporary(target)
        os.close(descriptor)
        parts.append(part)
    [stale] = {*tmp_path.iterdir()} - {foreign, *parts}
    assert stale.name.startswith(".y.")
