"""`mpiapps new`: the package runs and passes its tests; bad names write nothing."""

import json
import subprocess
import tomllib

import pytest

from mpiapps import cli
from mpiapps.batch.site import Site
from mpiapps.scaffold.command import FILES, PLACEHOLDER, START, texts, write
from tests.commands import ROOT, bin_directory, run


def new(*argv):
    """Return the exit code of `mpiapps new`, in this process."""
    return cli.main(["new", *argv])


def install(directory):
    """Add to a package what pip adds: its entry points."""
    project = tomllib.loads((directory / "pyproject.toml").read_text())["project"]
    info = directory / f"{project['name']}-{project['version']}.dist-info"
    info.mkdir()
    lines = [f"Name: {project['name']}", f"Version: {project['version']}"]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))
    entries = [f"{k} = {v}" for k, v in project["entry-points"][GROUP].items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *entries, ""]))
    return f"{directory}:{ROOT}"


GROUP = "mpiapps.programs"
TESTS = ("run", "tests/on_ranks.py", "-n", "2")


def test_the_package_runs_and_passes_its_tests(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert new("wave_2d") == 0
    assert "mpiapps run wave_2d -n 2" in capsys.readouterr().out
    directory = tmp_path / "wave_2d"
    path = install(directory)
    command = [str(bin_directory("mpich") / "python"), "-m", "mpiapps"]

    words = ["run", "wave_2d", "-n", "2", "--n", "1000", "--json", "-"]
    ended = run([*command, *words], cwd=directory, PYTHONPATH=path)
    assert json.loads(ended.out)["values"] == {"primes": 168}, ended.err
    ended = run([*command, *TESTS], cwd=directory, PYTHONPATH=path)
    assert (ended.code, ended.out.count(" passed")) == (0, 1), ended.out + ended.err

    program = directory / "wave_2d" / "program.py"
    program.write_text(program.read_text().replace("counts.total", "counts.own"))
    ended = run([*command, *TESTS], cwd=directory, PYTHONPATH=path)
    assert ended.code == 1
    assert "1 failed" in ended.out + ended.err
    assert "rank 1 of 2" in ended.err  # and of the other rank, its report


def test_the_help_of_an_installed_program_has_its_name():
    from mpiapps.app.program import Program
    from mpiapps.app.runner import program_parser
    from mpiapps.base.launch_environment import LaunchEnvironment
    from mpiapps.pi import Options

    program = Program("waves", "Compute waves.", Options, lambda _ctx, _options: None)
    command = ["-m", "waves.program"]
    text = program_parser(program, LaunchEnvironment(), command).format_help()
    assert "mpiapps run waves -n N" in text.replace("\n", " ")


def test_no_name_of_the_starting_files_is_left(tmp_path):
    target = tmp_path / "waves"
    write(target, texts("waves", Site("slurm", name="slurm")))
    files = [path for path in target.rglob("*") if path.is_file()]
    assert [f for f in files if PLACEHOLDER in f"{f}{f.read_text()}"] == []
    assert (target / "waves" / "program.py").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("scheduler", ["slurm", "pbs", "lsf"])
def test_the_job_script_is_one_of_the_scheduler(scheduler, tmp_path):
    target = tmp_path / "waves"
    assert new("waves", "--directory", str(target), "--scheduler", scheduler) == 0
    script = target / "jobs" / "waves.sh"
    checked = subprocess.run(["bash", "-n", script], check=False)
    assert checked.returncode == 0
    assert "-m waves.program" in script.read_text()
    assert "library=jobs/lib/job_library.sh" in script.read_text()
    assert {p.name for p in (target / "jobs" / "lib").iterdir()} == {
        "job_library.sh",
        f"{scheduler}.sh",
    }
    assert script.stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2d", "start with a letter"),
        ("my-program", "start with a letter"),
        ("a/b", "start with a letter"),
        ("", "start with a letter"),
        ("welle_", "no _ at the end"),
        ("größe", "ASCII"),
        ("lambda", "is a keyword"),
        ("pi", "is a program of `mpiapps list`"),
        ("numpy", "is a module of this Python"),
        ("json", "is a module of this Python"),
        ("tests", "is a module of this Python|directory of the package's own"),
        ("w" * 240, "230 at most"),
    ],
)
def test_a_name_that_is_not_possible_writes_nothing(
    name, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert new(name) == 2
    error = capsys.readouterr().err
    assert any(part in error for part in message.split("|")), error
    assert list(tmp_path.iterdir()) == []


def test_what_exists_stays(tmp_path, capsys):
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("text")
    link.symlink_to("nowhere")
    for target in (tmp_path, file, link):
        assert new("waves", "--directory", str(target)) == 2
        assert f"{target} exists" in capsys.readouterr().err
    assert new("waves", "--directory", str(tmp_path / "none" / "waves")) == 74
    assert "cannot make" in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"file", "link"}
    assert file.read_text() == "text"


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="null byte"):
        write(tmp_path / "waves", {"a": "text", "b\0": "text"})
    assert list(tmp_path.iterdir()) == []


def test_each_starting_file_is_in_the_wheel():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    patterns = settings["setuptools"]["package-data"]["mpiapps"]
    packed = {path for pattern in patterns for path in START.parents[1].glob(pattern)}
    assert {START / file for file in FILES} <= packed
