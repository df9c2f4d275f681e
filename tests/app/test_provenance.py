import subprocess

from mpiapps.app import provenance
from tests.launch import ROOT


def test_the_commit_is_that_of_the_checkout():
    told = provenance.begin()["git"]
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert told.removesuffix("-dirty") == head


def test_a_copy_without_git_has_no_commit(tmp_path):
    assert provenance._commit(tmp_path) is None
    (tmp_path / ".git").touch()  # broken: git cannot answer
    assert provenance._commit(tmp_path) is None
