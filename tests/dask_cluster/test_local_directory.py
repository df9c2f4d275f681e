"""Local directories are private, removed, and in the job's scratch."""

import os
import stat

import pytest

from mpiapps.dask_cluster import local_directory as module
from mpiapps.dask_cluster.local_directory import private_directory


def test_it_is_private_and_removed(tmp_path):
    before = os.umask(0)
    try:
        with private_directory(environ={"TMPDIR": str(tmp_path)}) as (directory, notes):
            assert directory.parent == tmp_path
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            (directory / "sub").mkdir()
            (directory / "sub" / "file").write_text("x")
            assert notes == []
    finally:
        os.umask(before)
    assert list(tmp_path.iterdir()) == []


def test_the_schedulers_scratch_takes_precedence(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    # On PBS the job directory is the user's home by default.
    environ = {"TMPDIR": str(scratch), "PBS_JOBDIR": str(tmp_path)}
    with private_directory(environ=environ) as (directory, _):
        assert directory.parent == scratch
    environ = {"TMPDIR": str(tmp_path), "SLURM_TMPDIR": str(scratch)}
    with private_directory(environ=environ) as (directory, _):
        assert directory.parent == scratch
    with private_directory(str(tmp_path), environ) as (directory, _):
        assert directory.parent == tmp_path


def test_a_tilde_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with private_directory("~") as (directory, _):
        assert directory.parent == tmp_path


def test_leftovers_are_reported_but_not_directories_in_use(tmp_path, monkeypatch):
    with (
        private_directory(str(tmp_path)) as (_, first),
        private_directory(str(tmp_path)) as (_, second),
    ):
        assert first == second == []
    left = tmp_path / f"{module.PREFIX}1"
    left.mkdir()
    (left / "owner").touch()
    monkeypatch.setattr(module, "LOCK_SECONDS", -1)
    with private_directory(str(tmp_path)) as (_, notes):
        [line] = notes
    assert str(left) in line


@pytest.mark.parametrize(
    ("kind", "word"), [("tmpfs", "memory"), ("nfs4", "network"), ("ext4", None)]
)
def test_an_unsuitable_file_system_is_reported(kind, word, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_filesystem", lambda _: kind)
    with private_directory(str(tmp_path)) as (_, notes):
        assert [word in line for line in notes] == ([True] if word else [])


def test_file_systems_are_named_as_by_mount():
    assert module._filesystem(module.Path("/proc")) == "proc"
