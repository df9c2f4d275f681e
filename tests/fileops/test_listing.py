"""Expansion of paths, patterns and lists to names of files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mpiapps.base.file_names import expand, read_list

NAMES = ["[a].txt", "a.txt", "*", "?", "**", "new\nline", " blank ", "\udcff", "-", "~"]


@pytest.mark.parametrize("separator", ["\0", "\n"])
def test_names_in_a_list_are_literal_and_may_be_missing(tmp_path, separator):
    directory = tmp_path / "directory"
    directory.mkdir()
    names = [name for name in NAMES if separator == "\0" or "\n" not in name]
    for name in names[1::2]:
        (directory / name).touch()
    text = "".join(f"{directory}/{name}{separator}" for name in names)
    (tmp_path / "list").write_bytes(os.fsencode(text))
    expected = [f"{directory}/{name}" for name in names]
    assert expand([], read_list(str(tmp_path / "list"))) == expected


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"a\r\nb c\r\n", ["a", "b c"]),
        (b"\xef\xbb\xbfa\r\n\r\nb", ["a", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        (b"a\r\nb\n", ["a\r", "b"]),
        (b"a\r\0b\r\n\0", ["a\r", "b\r\n"]),
        (b"\xef\xbb\xbfa\0", ["\ufeffa"]),
        (b"\xef\xbb\xbfthere\nb\n", ["\ufeffthere", "b"]),
        (b"a\r", ["a\r"]),
    ],
)
def test_line_ends_and_a_byte_order_mark_of_lists(
    tmp_path, monkeypatch, content, names
):
    monkeypatch.chdir(tmp_path)
    Path("\ufeffthere").touch()
    Path("list").write_bytes(content)
    assert read_list("list") == names


def test_directories_may_be_nested_deeper_than_the_recursion_limit(
    tmp_path, monkeypatch
):
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
        subprocess.run(["rm", "-r", "top"], check=True)  # shutil.rmtree is recursive


def test_links_to_parent_directories_are_not_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    for name in ("a/self", "a/b/up", "a/b/also"):
        Path(name).symlink_to(tmp_path / "a")
    Path("link").symlink_to("a/b")
    assert expand(["**/file"]) == ["a/b/file", "link/file"]


def test_metadata_files_beside_tables_are_skipped(tmp_path):
    for name in ("p=1/a.csv", "_SUCCESS", "p=1/.a.csv.crc", "_temporary/0/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    table = f"{tmp_path}/p=1/a.csv"
    assert expand([str(tmp_path)], tables=True) == [table]
    assert len(expand([str(tmp_path)])) == 4
    path = f"{tmp_path}/_SUCCESS"
    assert expand([path], tables=True) == [path]
