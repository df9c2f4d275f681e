"""Names of files: what a path, a pattern and a line of a list stand for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpiapps.filework.listing import expand, read_list

NAMES = ["[a].txt", "a.txt", "*", "?", "**", "new\nline", " blank ", "\udcff", "-", "~"]


@pytest.mark.parametrize("end", ["\0", "\n"])
def test_a_name_in_a_list_is_that_name_alone_whether_it_is_there_or_not(tmp_path, end):
    there = tmp_path / "there"
    there.mkdir()
    names = [name for name in NAMES if end == "\0" or "\n" not in name]
    for name in names[1::2]:
        (there / name).touch()
    text = "".join(f"{there}/{name}{end}" for name in names)
    (tmp_path / "list").write_bytes(os.fsencode(text))
    expected = [f"{there}/{name}" for name in names]
    assert expand([], read_list(str(tmp_path / "list"))) == expected


def test_folders_may_be_nested_deeper_than_calls(tmp_path, monkeypatch):
    depth = sys.getrecursionlimit() + 50
    monkeypatch.chdir(tmp_path)
    for name in ("top", *["d"] * depth):
        Path(name).mkdir()
        os.chdir(name)
    Path("file").touch()
    os.chdir(tmp_path)
    try:
        for path in ("top", "top/**", "top/**/file", "**/f*"):
            assert expand([path]) == ["top" + "/d" * depth + "/file"], path
    finally:
        subprocess.run(["rm", "-r", "top"], check=True)  # rmtree calls itself


def test_links_that_lead_back_are_entered_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    for name in ("a/self", "a/b/up", "a/b/also"):
        Path(name).symlink_to(tmp_path / "a")
    Path("link").symlink_to("a/b")
    assert expand(["**/file"]) == ["a/b/file", "link/file"]


def test_tables_in_a_folder_are_without_what_other_programs_leave_beside(tmp_path):
    for name in ("p=1/a.csv", "_SUCCESS", "p=1/.a.csv.crc", "_temporary/0/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    table = f"{tmp_path}/p=1/a.csv"
    assert expand([str(tmp_path)], tables=True) == [table]
    assert len(expand([str(tmp_path)])) == 4
    named = f"{tmp_path}/_SUCCESS"
    assert expand([named], tables=True) == [named]
