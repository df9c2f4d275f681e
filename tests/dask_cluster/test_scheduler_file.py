"""A scheduler file is private to its owner, and rejected otherwise."""

import os
import socket
import stat

import pytest

from mpiapps.base.errors import FileAccessError, InputError, LaunchError
from mpiapps.dask_cluster import scheduler_file
from mpiapps.dask_cluster.security import self_signed

ADDRESS, CREDENTIALS = "tls://127.0.0.1:1", self_signed(60)
CLUSTER = ADDRESS, CREDENTIALS, ""


def test_it_is_private_under_any_umask_and_removed(tmp_path):
    file = tmp_path / "new" / "dask.json"
    before = os.umask(0)
    try:
        with scheduler_file.published(str(file), *CLUSTER):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
            connection = scheduler_file.read(str(file))
            assert connection.address == ADDRESS
            assert connection.credentials == CREDENTIALS
    finally:
        os.umask(before)
    assert not file.exists()


def test_a_tilde_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with scheduler_file.published("~/dask/here.json", *CLUSTER):
        assert scheduler_file.read("~/dask/here.json").address == ADDRESS
        assert [path.name for path in tmp_path.rglob("*.json")] == ["here.json"]
    assert not (tmp_path / "~").exists()


def test_a_symbolic_link_is_replaced_not_followed(tmp_path):
    other, file = tmp_path / "other", tmp_path / "dask.json"
    other.write_text("mine")
    file.symlink_to(other)
    with scheduler_file.published(str(file), *CLUSTER):
        assert not file.is_symlink()
    assert other.read_text() == "mine"


def test_the_file_of_a_running_cluster_is_kept(tmp_path):
    file = tmp_path / "dask.json"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"tls://127.0.0.1:{listener.getsockname()[1]}"
        other = address, CREDENTIALS, ""
        with scheduler_file.published(str(file), *other):
            with (
                pytest.raises(LaunchError, match="choose another file"),
                scheduler_file.published(str(file), *CLUSTER),
            ):
                pass
            assert scheduler_file.read(str(file)).address == address
            listener.close()  # the cluster was killed: its file is stale
            with scheduler_file.published(str(file), *CLUSTER):
                assert scheduler_file.read(str(file)).address == ADDRESS


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o606])
def test_a_file_accessible_by_others_is_rejected(mode, tmp_path):
    file = tmp_path / "dask.json"
    with scheduler_file.published(str(file), *CLUSTER):
        file.chmod(mode)
        with pytest.raises(InputError, match="do not trust"):
            scheduler_file.read(str(file))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 9}', "\0"])
def test_an_invalid_file_is_rejected(content, tmp_path):
    file = tmp_path / "dask.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(InputError, match="is not a scheduler file"):
        scheduler_file.read(str(file))


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(InputError, match="not started yet, or has ended"):
        scheduler_file.read(str(tmp_path / "no.json"))


def test_a_file_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(FileAccessError, match="cannot write"),
        scheduler_file.published(str(tmp_path / "file" / "dask.json"), *CLUSTER),
    ):
        pass


@pytest.mark.parametrize("variable", scheduler_file.LOGIN_VARIABLES)
def test_the_tunnel_goes_through_the_login_node(variable):
    line = scheduler_file.dashboard_instructions("4711", {variable: "login1"})
    assert "-J " in line
    assert "@login1 -L 8787:127.0.0.1:4711 " in line
    assert "-J" not in scheduler_file.dashboard_instructions("4711", {})
