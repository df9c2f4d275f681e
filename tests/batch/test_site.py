import os
import subprocess

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch.site import SCHEDULERS, Site, read_site
from mpiapps.batch.site_search import find_site
from tests.batch.jobs import SITES
from tests.commands import ROOT


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_site_is_read_as_it_was_written(tmp_path, scheduler):
    path = tmp_path / f"{scheduler}.toml"
    path.write_text(SITES[scheduler].as_toml())
    assert read_site(path) == SITES[scheduler]


def test_odd_texts_survive_a_site_file(tmp_path):
    site = Site(
        "sge",
        "odd",
        setup=('echo "a\\b" # c',),
        parallel_environments={"x.y": "$fill_up"},
    )
    path = tmp_path / "odd.toml"
    path.write_text(site.as_toml())
    assert read_site(path) == site


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "scheduler is missing"),
        ("scheduler = 'slurmm'", "not one of slurm"),
        ("scheduler = 3", "not of type"),
        ("scheduler = 'slurm'\nmax_array = '3'", "not of type"),
        ("scheduler = 'slurm'\nlauncherr = 'srun'", "use launcher"),
        ("scheduler = 'slurm'\nmpi = 'lam'", "not one of openmpi"),
        ("scheduler = 'slurm'\nsetup = [1]", "not of type"),
        ('scheduler = "slurm"\nqueue = "a\\nb"', "control character"),
        ("scheduler = ", "cannot read"),
    ],
)
def test_a_wrong_site_file_is_explained(tmp_path, text, says):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        read_site(path)


def test_sites_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("MPIAPPS_SITES", str(tmp_path))
    (tmp_path / "mine.toml").write_text("scheduler = 'lsf'")
    assert find_site("mine", "").scheduler == "lsf"
    assert find_site("mine", "lsf").name == "mine"
    with pytest.raises(UsageError, match="leave one"):
        find_site("mine", "slurm")
    with pytest.raises(UsageError, match=r"there are .*mine"):
        find_site("other", "")


@pytest.mark.parametrize("place", ["", "jobs/sites", "my sites"])
def test_the_remedy_works_where_it_is_typed(tmp_path, monkeypatch, place):
    home, work, directory = tmp_path / "home", tmp_path / "work", tmp_path / "bin"
    for each in (home, work / place, directory):
        each.mkdir(parents=True)
    (directory / "mpiapps").write_text("#!/bin/sh\necho \"scheduler = '$2'\"\n")
    (directory / "mpiapps").chmod(0o755)
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("MPIAPPS_SITES", place if " " in place else "")
    with pytest.raises(UsageError) as raised:
        find_site("mine", "")
    command = str(raised.value).partition("login node: ")[2].replace("NAME", "mine")
    path = f"{directory}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command.replace("probe", "").replace("site ", "site slurm")],
        env={"PATH": path},
        check=True,
    )
    assert done.returncode == 0
    assert find_site("mine", "").scheduler == "slurm"


def test_without_a_site_the_hosts_commands_tell(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="select one"):
        find_site("", "")
    (tmp_path / "qconf").write_text("#!/bin/sh\n")
    (tmp_path / "qconf").chmod(0o755)
    assert find_site("", "").scheduler == "sge"


def test_the_repositorys_sites_and_jobs_are_what_is_rendered():
    import runpy

    for path, text in runpy.run_path(str(ROOT / "scripts" / "render_jobs.py"))[
        "scripts"
    ]():
        assert path.read_text() == text, "run `make jobs`"
