"""A release has one version in all places."""

import runpy
import shutil

import pytest

import mpiapps
from tests.commands import ROOT

SCRIPT = runpy.run_path(str(ROOT / "scripts/check_release.py"))
PLACES, main, versions = SCRIPT["PLACES"], SCRIPT["main"], SCRIPT["versions"]
TAG = f"v{mpiapps.__version__}"


@pytest.fixture
def release(tmp_path):
    """A copy of the files, with a section of the version in the change log."""
    for name in PLACES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    path = tmp_path / "CHANGELOG.md"
    section = f"## Unreleased\n\n## {mpiapps.__version__} - 2026-12-01\n"
    path.write_text(path.read_text().replace("## Unreleased\n", section, 1))
    return tmp_path


def test_the_citation_has_the_version_of_the_package():
    found = versions(ROOT)
    assert found["CITATION.cff"] == found["mpiapps/__init__.py"] == mpiapps.__version__


def test_one_version_passes(release, capsys):
    assert main(TAG, release) == 0
    assert not capsys.readouterr().out


@pytest.mark.parametrize("name", PLACES)
def test_another_version_is_named(release, name, capsys):
    path = release / name
    path.write_text(path.read_text().replace(mpiapps.__version__, "9.9.9", 1))
    assert main(TAG, release) == 1
    assert capsys.readouterr().out.startswith(f"{name} has version 9.9.9; expected")
    shutil.copy(ROOT / "CHANGELOG.md", release / "CHANGELOG.md")  # not released
    assert main(TAG, release) == 1
