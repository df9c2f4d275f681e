"""The environment that `make` makes: when it is made anew, when it is left alone."""

import importlib.metadata
import os
import re
import runpy
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from tests.commands import ROOT

# An interpreter that says what is done with it, and fetches nothing.
STUB = """#!/bin/sh
case $* in
"-m venv "*)
    echo made >>"$LOG"
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
    echo "executable = $0" >"$3/pyvenv.cfg"
    echo "command = x -m venv $PWD/$3" >>"$3/pyvenv.cfg" ;;
"-m pip install "*)
    echo installed >>"$LOG"
    printf '#!/bin/sh\\necho ran "$@"\\n' >"${0%/*}/mpiapps"
    chmod +x "${0%/*}/mpiapps" ;;
*_base_executable*) echo "$0" ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """A clone with what `make demo` needs, and two interpreters beside it."""
    (tmp_path / "clone" / "scripts").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "scripts/venv.sh"):
        shutil.copy(ROOT / name, tmp_path / "clone" / name)
    for name in ("python3", "other"):
        (tmp_path / name).write_text(STUB)
        (tmp_path / name).chmod(0o755)
    return tmp_path / "clone"


def demo(clone, *words):
    """Return how ``make demo`` ends, and what it did to the environment."""
    log = clone.parent / "log"
    log.write_text("")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    environment |= {"LOG": str(log), "PATH": f"{clone.parent}:{os.environ['PATH']}"}
    environment.pop("PYTHON", None)
    ended = subprocess.run(
        ["make", "demo", *words],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended, log.read_text().split()


def changed(clone):
    with (clone / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    return clone


def moved(clone):
    return clone.rename(clone.with_name("elsewhere, with blanks"))


def copied(clone):
    return shutil.copytree(clone, clone.with_name("copy"), symlinks=True)


def touched(clone):
    (clone / "pyproject.toml").touch()
    return clone


def unfinished(clone):
    (clone / ".venv" / ".installed").unlink()
    return clone


@pytest.mark.parametrize(
    ("change", "words", "done"),
    [
        (touched, [], []),
        (changed, [], ["installed"]),
        (unfinished, [], ["installed"]),
        (moved, [], ["made", "installed"]),
        (copied, [], ["made", "installed"]),
        (touched, ["PYTHON=other"], ["made", "installed"]),
        (touched, ["PYTHON=python3"], []),
    ],
)
def test_an_environment_is_made_anew_when_it_would_not_do(clone, change, words, done):
    ended, first = demo(clone)
    assert ended.returncode == 0, ended.stderr
    assert first == ["made", "installed"]
    ended, then = demo(change(clone), *words)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.endswith("ran run pi\n")
    assert then == done


def test_an_interpreter_that_is_not_there_is_an_error(clone):
    demo(clone)
    ended, done = demo(clone, "PYTHON=/nonexistent")
    assert ended.returncode != 0
    assert "no /nonexistent on PATH" in ended.stderr
    assert done == []


def given_to_setuptools(monkeypatch, repository=""):
    given = {}
    monkeypatch.setenv("MPIAPPS_REPOSITORY", repository)
    monkeypatch.setitem(sys.modules, "setuptools", SimpleNamespace(setup=given.update))
    runpy.run_path(str(ROOT / "setup.py"))
    return given


def test_the_description_on_pypi_has_no_relative_links(monkeypatch):
    given = given_to_setuptools(monkeypatch)
    text = given["long_description"]
    assert re.findall(r"\]\((?!https?:)", text) == []
    assert "docs/pi.md: from a 20-line program" in text
    assert given["project_urls"] == {}


def test_a_release_has_the_addresses_of_its_repository(monkeypatch):
    address = "https://example.org/lab/mpiapps"
    given = given_to_setuptools(monkeypatch, address)
    assert f"({address}/blob/HEAD/docs/pi.md)" in given["long_description"]
    assert re.findall(r"\]\((?!https?:)", given["long_description"]) == []
    assert given["project_urls"]["Source"] == address


def test_the_metadata_has_the_description():
    metadata = importlib.metadata.metadata("mpiapps")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Description"].startswith("# mpiapps")
