import json
import os

import pytest

from mpiapps.app.output import WholeFile, as_csv, as_text, use_color
from mpiapps.base.errors import ReadWriteError
from mpiapps.comm.timers import Timing


def test_a_file_is_the_old_one_until_it_is_whole(tmp_path):
    target = tmp_path / "record.json"
    target.write_text("old")
    file = WholeFile(target)
    assert target.read_text() == "old"
    file.commit("new")
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def test_a_file_that_is_given_up_leaves_nothing(tmp_path):
    file = WholeFile(tmp_path / "record.json")
    file.discard()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_its_mode_is_what_the_users_umask_asks_for(tmp_path, umask):
    before = os.umask(umask)
    try:
        WholeFile(tmp_path / "a").commit("x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_link_is_written_through_and_kept(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "real" / "record.json")
    WholeFile(link).commit("x")
    assert link.is_symlink()
    assert (tmp_path / "real" / "record.json").read_text() == "x"


@pytest.mark.parametrize("name", ["missing/record.json", ".", "file/record.json"])
def test_what_cannot_be_written_is_refused_at_once(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(
        ReadWriteError, match=r"cannot write .*; name a file in a folder"
    ):
        WholeFile(tmp_path / name)


def test_a_full_device_is_an_error_and_stays_a_device(tmp_path):
    device = tmp_path / "full"
    device.symlink_to("/dev/full")
    with pytest.raises(ReadWriteError, match="No space left"):
        WholeFile(device).commit("x")
    assert device.is_char_device()


def test_csv_and_text_show_the_values():
    values = {"pi": 3.25, "interval": [3.0, 3.5], "hits": 13}
    assert as_csv([values]) == "pi,interval,hits\r\n3.25,3.0 3.5,13\r\n"
    text = as_text("title", values, {"kernel": Timing(2.0, 1.0, 1.0)})
    assert text.splitlines()[0] == "title"
    assert "  interval  3 3.5" in text
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
def test_colours_are_asked_for(choice, environ, expected):
    assert use_color(choice, environ) is expected


def test_no_colour_by_itself_under_a_launcher(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert use_color("auto", {})
    assert not use_color("auto", {"OMPI_COMM_WORLD_SIZE": "2"})
    assert not use_color("auto", {"TERM": "dumb"})
    assert use_color("auto", {"TERM": "dumb", "FORCE_COLOR": "1"})
