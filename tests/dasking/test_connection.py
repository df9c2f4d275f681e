"""The file that lets others in is its owner's alone, and not believed otherwise."""

import os
import socket
import stat
from types import SimpleNamespace

import pytest

from mpiapps.base.errors import InputError, LaunchError, ReadWriteError
from mpiapps.dasking import connection
from mpiapps.dasking.keys import make_keys

CLUSTER = SimpleNamespace(address="tls://127.0.0.1:1", keys=make_keys(60), dashboard="")


def test_it_is_private_whatever_the_umask_and_goes(tmp_path):
    file = tmp_path / "new" / "dask.json"
    before = os.umask(0)
    try:
        with connection.offered(str(file), CLUSTER):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
            found = connection.read(str(file))
            assert found.address == CLUSTER.address
            assert found.keys == CLUSTER.keys
    finally:
        os.umask(before)
    assert not file.exists()


def test_the_home_is_known_by_its_short_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with connection.offered("~/dask/here.json", CLUSTER):
        assert connection.read("~/dask/here.json").address == CLUSTER.address
        assert [each.name for each in tmp_path.rglob("*.json")] == ["here.json"]
    assert not (tmp_path / "~").exists()


def test_a_link_that_was_planted_is_replaced_not_followed(tmp_path):
    other, file = tmp_path / "other", tmp_path / "dask.json"
    other.write_text("mine")
    file.symlink_to(other)
    with connection.offered(str(file), CLUSTER):
        assert not file.is_symlink()
    assert other.read_text() == "mine"


def test_that_of_another_cluster_is_left_alone_while_it_is_up(tmp_path):
    file = tmp_path / "dask.json"
    with socket.create_server(("127.0.0.1", 0)) as up:
        address = f"tls://127.0.0.1:{up.getsockname()[1]}"
        other = SimpleNamespace(address=address, keys=CLUSTER.keys, dashboard="")
        with connection.offered(str(file), other):
            with (
                pytest.raises(LaunchError, match="give this one another file"),
                connection.offered(str(file), CLUSTER),
            ):
                pass
            assert connection.read(str(file)).address == address
            up.close()  # it was killed: its file is left over
            with connection.offered(str(file), CLUSTER):
                assert connection.read(str(file)).address == CLUSTER.address


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o606])
def test_one_that_others_may_touch_is_not_used(mode, tmp_path):
    file = tmp_path / "dask.json"
    with connection.offered(str(file), CLUSTER):
        file.chmod(mode)
        with pytest.raises(InputError, match="do not trust"):
            connection.read(str(file))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 9}', "\0"])
def test_what_is_none_is_told_of(content, tmp_path):
    file = tmp_path / "dask.json"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(InputError, match="names no cluster"):
        connection.read(str(file))


def test_none_is_told_of(tmp_path):
    with pytest.raises(InputError, match="not up yet, or has ended"):
        connection.read(str(tmp_path / "no.json"))


def test_one_that_cannot_be_written_is_told_of(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ReadWriteError, match="cannot write"),
        connection.offered(str(tmp_path / "file" / "dask.json"), CLUSTER),
    ):
        pass


@pytest.mark.parametrize("variable", connection.LOGIN)
def test_the_way_to_the_page_is_by_the_login_node(variable):
    line = connection.dashboard_line("4711", {variable: "login1"})
    assert "-J " in line
    assert "@login1 -L 8787:127.0.0.1:4711 " in line
    assert "-J" not in connection.dashboard_line("4711", {})
