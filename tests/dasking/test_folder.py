"""Workers' folders are private, removed, and where the scheduler says."""

import os
import stat

import pytest

from mpiapps.dasking import folder as folders
from mpiapps.dasking.folder import private_folder


def test_it_is_private_and_goes(tmp_path):
    before = os.umask(0)
    try:
        with private_folder(environ={"TMPDIR": str(tmp_path)}) as (folder, told):
            assert folder.parent == tmp_path
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            (folder / "sub").mkdir()
            (folder / "sub" / "file").write_text("x")
            assert told == []
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == []


def test_the_schedulers_scratch_is_before_the_users(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # On PBS the folder of the job is the user's home, unless it was asked for.
    environ = {"TMPDIR": str(scratch), "PBS_JOBDIR": str(tmp_path)}
    with private_folder(environ=environ) as (folder, _):
        assert folder.parent == scratch
    environ = {"TMPDIR": str(tmp_path), "SLURM_TMPDIR": str(scratch)}
    with private_folder(environ=environ) as (folder, _):
        assert folder.parent == scratch
    with private_folder(str(tmp_path), environ) as (folder, _):
        assert folder.parent == tmp_path


def test_the_home_is_known_by_its_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with private_folder("~") as (folder, _):
        assert folder.parent == tmp_path


def test_one_in_use_is_not_told_of_one_left_is(tmp_path, monkeypatch):
    with (
        private_folder(str(tmp_path)) as (_, first),
        private_folder(str(tmp_path)) as (_, second),
    ):
        assert first == second == []
    left = tmp_path / f"{folders.PREFIX}1"
    left.mkdir()
    (left / "owner").touch()
    monkeypatch.setattr(folders, "YOUNG", -1)
    with private_folder(str(tmp_path)) as (_, told):
        [line] = told
    assert str(left) in line


@pytest.mark.parametrize(
    ("kind", "word"), [("tmpfs", "memory"), ("nfs4", "network"), ("ext4", None)]
)
def test_a_bad_place_is_told_of(kind, word, tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "_filesystem", lambda _: kind)
    with private_folder(str(tmp_path)) as (_, told):
        assert [word in line for line in told] == ([True] if word else [])


def test_the_kind_of_a_file_system_is_as_mount_says():
    assert folders._filesystem(folders.Path("/proc")) == "proc"
