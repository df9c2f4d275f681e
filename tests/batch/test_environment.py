"""Modules, environments, containers and commands of a job, as bash runs them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch.lint import lint
from mpiapps.cli import main
from tests.batch.jobs import SITES, directives, script
from tests.batch.scripts import events, launcher_arguments, run_script, stub

SEE = 'printf "%s\\0" "${SEEN-}" >>"$ARGUMENTS"'
# Lmod as a file of a shell that is not a login shell: `module load gone` fails.
LMOD = """module() { [ "$2" != gone ] && export SEEN="${SEEN-} $*"; }
"""
CONDA = """#!/bin/bash
[ "$1 $2" = "shell.bash hook" ] && cat <<'END'
conda() { [ "$2" != gone ] && export SEEN="conda $*" PATH="$PWD/envs/$2/bin:$PATH"; }
END
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)
    lmod = tmp_path / "lmod" / "init" / "bash"
    lmod.parent.mkdir(parents=True)
    lmod.write_text(LMOD)
    return tmp_path


def outcome(place, act="exit 0", **asked):
    """Return how the script ended, and the arguments of its launcher."""
    ended = run_script(
        place,
        script("slurm", "my.py", **asked).replace("--record", ""),
        act,
        LMOD_PKG=str(place / "lmod"),
        PATH=f"{place}/bin:/usr/bin:/bin",
    )
    started = (place / "arguments").exists()
    return ended, launcher_arguments(place) if started else None


def test_modules_of_the_site_come_first(place):
    site = replace(SITES["slurm"], modules=("gcc/13",), setup=("SEEN=site",))
    ended, words = outcome(place, SEE, site=site, module=("openmpi fftw",))
    assert ended.returncode == 0, ended.stderr
    assert words[-1] == "site load gcc/13 openmpi fftw"
    assert "module load gcc/13 openmpi fftw ||" in script(
        "slurm", site=site, module=("openmpi fftw",)
    )


@pytest.mark.parametrize(
    ("asked", "failed"),
    [
        ({"module": ("gone",)}, "module load gone"),
        ({"setup": "gone.sh"}, ". ./gone.sh"),
        ({"conda": "gone"}, "conda activate gone"),
        ({"venv": "gone"}, ". ./gone/bin/activate"),
        ({"container": "gone.sif"}, "reading the container ./gone.sif"),
        ({"before_run": ("false; (exit 3)",)}, "failed with 3 on "),
    ],
    ids=str,
)
def test_a_failure_before_the_ranks_ends_the_run(place, asked, failed):
    stub(place / "bin" / "conda", "").write_text(CONDA)
    ended, words = outcome(place, **asked)
    assert ended.returncode == 78
    assert words is None
    assert ended.stderr.count("mpiapps: error: failed with ") == 1
    assert failed in ended.stderr
    (run,) = (place / "logs").iterdir()
    last = events(place, run.name)[-1]
    assert (last["event"], last["code"]) == ("end", 78)


def test_a_setup_file_and_commands_around_the_ranks(place):
    (place / "env.sh").write_text('export SEEN="$unset from a file"\n')
    commands = "SEEN+=' and a command'  # kept", "[ -e x ] || touch x; export SEEN"
    ended, words = outcome(
        place,
        SEE,
        setup="env.sh",
        before_run=commands,
        epilog=('cp x "after-$MPIAPPS_EXIT_CODE"',),
    )
    assert ended.returncode == 0, ended.stderr
    assert words[-1] == " from a file and a command"
    assert (place / "after-0").exists()


def test_a_conda_environment_brings_python_and_mpiexec(place):
    stub(place / "bin" / "conda", "").write_text(CONDA)
    for name in ("python", "mpiexec"):
        stub(place / "envs" / "lab" / "bin" / name, SEE)
    ended, words = outcome(place, conda="lab", python="")
    assert ended.returncode == 0, ended.stderr
    assert f"{place}/envs/lab/bin/python" in words
    assert words[-1] == "conda activate lab"


def test_a_virtual_environment_brings_python_and_mpiexec(place):
    directory = place / "my env"
    for name in ("python", "mpiexec"):
        stub(directory / "bin" / name, SEE)
    (directory / "bin" / "activate").write_text("export SEEN=active\n")
    ended, words = outcome(place, venv="my env/", python="")
    assert ended.returncode == 0, ended.stderr
    assert words[-3:] == ["my env/bin/python", "my.py", "active"]


def test_a_container_is_started_by_mpiexec_of_the_host(place, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(place / "host" / "bin" / "python"))
    stub(place / "host" / "bin" / "mpiexec", "")
    stub(place / "bin" / "apptainer", "")
    (place / "my image.sif").touch()
    asked = {"container": "my image.sif", "bind": ("/data:/mnt",), "python": ""}
    ended, words = outcome(place, **asked)
    assert ended.returncode == 0, ended.stderr
    first = words.index(f"{place}/bin/apptainer")
    assert words[first:] == [
        *(f"{place}/bin/apptainer", "exec", "--bind", str(place)),
        *("--bind", "/data:/mnt", "./my image.sif", "python3", "my.py"),
    ]
    text = script("slurm", **asked, gpus="1")
    assert 'exec --nv --bind "$PWD"' in text
    # An MPI of the modules starts the container, not the one beside this Python.
    text = script("slurm", **asked, module=("openmpi",))
    assert "--mpiexec=mpiexec --container " in text


def test_an_image_of_a_registry_is_not_a_file():
    text = script("slurm", container="docker://python:3.13", python="")
    assert "[ -r " not in text.split("job_begin", 1)[1]
    assert 'exec --bind "$PWD" docker://python:3.13)' in text


def test_the_request_replaces_the_python_of_the_site():
    site = replace(SITES["slurm"], conda="lab", before_run=("true",))
    assert "conda activate lab" in script("slurm", site=site, python="")
    other = script("slurm", site=site, python="", venv="/x/venv")
    assert "conda" not in other
    assert "--python=/x/venv/bin/python " in other
    assert "conda" not in script("slurm", site=site, python="/usr/bin/python3")
    assert "true\n} || job_fail true\n" in other


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"conda": "a", "venv": "b"}, "--conda and --venv both bring a Python"),
        ({"container": "a", "conda": "b"}, "--container and --conda both"),
        ({"bind": ("/data",)}, "--bind is for --container"),
        ({"module": ("a;b",)}, "--module 'a;b' is not allowed"),
        ({"module": ("-f",)}, "--module '-f' is not allowed"),
        ({"before_run": ("echo 'a",)}, "bash cannot parse it"),
        ({"before_run": ("fi",)}, "bash cannot parse it"),
        ({"before_run": ("true\nfalse",)}, "newline or a control character"),
        ({"setup": "a\nb"}, "newline or a control character"),
    ],
    ids=str,
)
def test_what_cannot_be_set_up_is_refused(asked, says):
    with pytest.raises(UsageError, match=says):
        script("slurm", **({"python": ""} | asked))


ALL = {
    "module": ("gcc/13",),
    "setup": "env.sh",
    "before_run": ("make data",),
    "gpus": "1",
    "gpu_mps": True,
    "python": "",
}


@pytest.mark.parametrize("scheduler", SITES)
@pytest.mark.parametrize(
    "python", [{"conda": "lab"}, {"venv": ".venv"}, {"container": "a.sif"}], ids=str
)
def test_scripts_are_clean_for_shellcheck_and_lint(tmp_path, scheduler, python):
    text = script(scheduler, **ALL, **python)
    (tmp_path / "logs").mkdir()
    assert lint(text, tmp_path) == []
    check = Path(sys.executable).parent / "shellcheck"
    ended = subprocess.run(
        [check, "-"], input=text, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout


def test_options_as_users_type_them(capsys, monkeypatch):
    monkeypatch.setenv("CONDA_EXE", "/opt/conda/bin/conda")
    words = ["render", "pi", "--scheduler", "pbs", "--module", "gcc", "--conda", "lab"]
    words += ["--before-run", "make -j", "--after-run", "rm -rf tmp"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert directives(text)
    assert 'eval "$(/opt/conda/bin/conda shell.bash hook)"\n' in text
    assert "{\nmake -j\n} || job_fail 'make -j'\n" in text
    assert "job_end 'rm -rf tmp'\n" in text
