import json
import os

import pytest

from mpiapps.app.output import as_csv, as_text, use_color
from mpiapps.base.errors import FileAccessError
from mpiapps.comm.timers import Timing
from mpiapps.storage.atomic_file import AtomicFile


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    target = tmp_path / "record.json"
    target.write_text("old")
    file = AtomicFile(target)
    assert target.read_text() == "old"
    file.commit("new")
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_discarded_file_leaves_nothing(tmp_path):
    file = AtomicFile(tmp_path / "record.json")
    file.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_mode_follows_the_umask(tmp_path, umask):
    old = os.umask(umask)
    try:
        AtomicFile(tmp_path / "a").commit("x")
    finally:
        os.umask(old)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_the_target_of_a_link_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "record.json")
    AtomicFile(link).commit("x")
    assert link.is_symlink()
    assert (tmp_path / "real" / "record.json").read_text() == "x"


@pytest.mark.parametrize("name", ["missing/record.json", ".", "file/record.json"])
def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(
        FileAccessError, match=r"cannot write .*; name a file in a directory"
    ):
        AtomicFile(tmp_path / name)


def test_a_full_device_is_an_error_and_remains_a_device(tmp_path):
    device = tmp_path / "full"
    device.symlink_to("/dev/full")
    with pytest.raises(FileAccessError, match="No space left"):
        AtomicFile(device).commit("x")
    assert device.is_char_device()


def test_csv_and_text_contain_the_values():
    values = {"pi": 3.25, "interval": [3.0, 3.5], "hits": 13, "sum": 0.1 + 0.2}
    text = "pi,interval,hits,sum\r\n3.25,3.0 3.5,13,0.30000000000000004\r\n"
    assert as_csv([values]) == text
    text = as_text("title", values, {"kernel": Timing(2.0, 1.0, 1.0)})
    assert text.splitlines()[0] == "title"
    assert "  interval  3.0 3.5" in text
    assert "  sum       0.30000000000000004\n" in text
    assert "  a  0 1 2 ... 7 8 9 (10 in all)" in as_text("", {"a": list(range(10))}, {})
    assert "  kernel    2 s (mean 1 s, imbalance 100.0%)" in text
    assert as_text("title", {}, {}, color=True) == "\033[1mtitle\033[0m\n"
    assert json.dumps(values)


@pytest.mark.parametrize(
    ("choice", "environ", "expected"),
    [
        ("always", {"NO_COLOR": "1"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
        ("auto", {"FORCE_COLOR": "1"}, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ("auto", {}, False),  # standard output is captured here
    ],
)
def test_colours_follow_the_option_and_the_environment(choice, environ, expected):
    assert use_color(choice, environ) is expected


def test_no_automatic_colours_under_a_launcher(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert use_color("auto", {})
    assert not use_color("auto", {"OMPI_COMM_WORLD_SIZE": "2"})
    assert not use_color("auto", {"TERM": "dumb"})
    assert use_color("auto", {"TERM": "dumb", "FORCE_COLOR": "1"})
