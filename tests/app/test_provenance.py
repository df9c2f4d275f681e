import subprocess

from mpiapps.app import provenance
from tests.commands import ROOT


def test_the_commit_is_the_head_of_the_checkout():
    commit = provenance.before_init()["git"].result()
    if not (ROOT / ".git").exists():  # a source distribution
        assert commit is None
        return
    head = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert commit.removesuffix("-dirty") == head


def test_a_copy_without_git_has_no_commit(tmp_path):
    assert provenance.CommitQuery(tmp_path).result() is None
    (tmp_path / ".git").touch()  # not a repository: git fails
    assert provenance.CommitQuery(tmp_path).result() is None
