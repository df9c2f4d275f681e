"""A job script: its library, its exit code, its epilogs, its finished runs."""

import subprocess
from contextlib import nullcontext
from dataclasses import replace

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.batch.render import render
from mpiapps.batch.scheduler import LIBRARY, load_scheduler
from mpiapps.batch.site import SCHEDULERS
from tests.batch.jobs import SITES, job, script
from tests.batch.scripts import (
    FINISH,
    SAVE,
    SUBMIT,
    VARIABLES,
    begin,
    events,
    launcher_arguments,
    run_script,
    stub,
)
from tests.commands import clean_environment


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_script_run_by_hand_says_how_to_submit_it(tmp_path, scheduler):
    (tmp_path / "job.sh").write_text(script(scheduler))
    done = subprocess.run(
        ["bash", "job.sh"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 78
    command = f"{SUBMIT[scheduler]} job.sh"
    assert (
        done.stderr == f"mpiapps: error: not in a job; submit this script: {command}\n"
    )


@pytest.mark.parametrize("standalone", [False, True])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_good_run(tmp_path, scheduler, standalone):
    act = FINISH.format(code=0, rc=0)
    text = script(scheduler, standalone=standalone)
    assert standalone or len(text.splitlines()) <= 35
    ended = run_script(tmp_path, text, act, scheduler)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [each["event"] for each in events(tmp_path)] == ["start", "end"]
    assert launcher_arguments(tmp_path)[-3:] == [".venv/bin/python", "-m", "mpiapps.pi"]
    assert (tmp_path / "logs" / "pi-job7").stat().st_mode & 0o777 == 0o700


def test_readers_never_see_a_part_of_the_script(tmp_path):
    # The directory has a script already: a job that was requeued, or `mpiapps submit`.
    directory = tmp_path / "logs" / "pi-job7"
    directory.mkdir(parents=True)
    (directory / "script.sh").write_text("before")
    with (directory / "script.sh").open() as reader:
        run_script(tmp_path, script("slurm"))
        assert reader.read() == "before"
    assert (directory / "script.sh").read_text() == script("slurm")
    assert not list(directory.glob("script.sh?*"))


@pytest.mark.parametrize("library", ["it's here/lib.sh", str(LIBRARY)])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_spooled_script_finds_the_library(tmp_path, scheduler, library):
    directory, spool = tmp_path / "submit dir", tmp_path / "spool"
    stub(directory / ".venv" / "bin" / "mpiexec", FINISH.format(code=0, rc=0))
    stub(directory / ".venv" / "bin" / "python", "exit 0")
    spool.mkdir()
    (spool / "5").write_text(render(job(scheduler), library=library))
    submitted_from = {
        name: str(directory) if text == "." else text
        for name, text in VARIABLES[scheduler].items()
    }

    def start(**variables):
        variables |= submitted_from | {"ARGUMENTS": str(tmp_path / "arguments")}
        return subprocess.run(
            ["bash", "5"],
            cwd=spool,
            env=clean_environment(**variables),
            capture_output=True,
            text=True,
            check=False,
        )

    ended = start()
    assert ended.returncode == (0 if library == str(LIBRARY) else 78)
    assert (library in ended.stderr) == (ended.returncode == 78)
    copy = directory / "logs" / "pi-1" / LIBRARY.name
    copy.parent.mkdir(parents=True)
    copy.write_text(load_scheduler(scheduler).shell_library())
    assert start(MPIAPPS_RUN="pi-1").returncode == 0


@pytest.mark.parametrize(
    ("act", "code"),
    [
        ("exit 0", 70),  # no record: not a success
        ("exit 3", 3),
        (FINISH.format(code=3, rc=0), 3),  # the record knows better than the launcher
        (FINISH.format(code=0, rc=137), 0),
        ('echo \'{"finished": false}\' >"$MPIAPPS_RECORD"', 70),
        ('printf \'"finished": tru\' >"$MPIAPPS_RECORD"', 70),
        ("kill -9 $$", 137),
    ],
)
def test_the_exit_code_needs_a_witness(tmp_path, act, code):
    ended = run_script(tmp_path, script("slurm"), act)
    assert ended.returncode == code
    assert events(tmp_path)[-1]["code"] == code


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_commands_after_the_ranks_at_each_start(tmp_path, scheduler):
    epilog = ('echo $MPIAPPS_EXIT_CODE ${MPIAPPS_FOLDER##*/} "it\'s" >>after', "exit 3")
    site = replace(SITES[scheduler], epilog=("echo site >>after",))
    text = script(scheduler, site=site, epilog=epilog, max_requeues=0)
    for act, code in (SAVE.format(attempt=1, rc=75), 75), ("exit 5", 5):
        ended = run_script(tmp_path, text, act, scheduler)
        assert ended.returncode == code
        assert "the epilog has failed with 3" in ended.stderr
        assert events(tmp_path)[-1]["event"] == "end"
    lines = ["75 pi-job7 it's", "site", "5 pi-job7 it's", "site"]
    assert (tmp_path / "after").read_text().splitlines() == lines


def test_a_run_that_is_finished_is_not_done_twice(tmp_path):
    act = FINISH.format(code=0, rc=0)
    assert run_script(tmp_path, script("slurm"), act).returncode == 0
    (tmp_path / "arguments").unlink()
    ended = run_script(tmp_path, script("slurm"), act)
    assert ended.returncode == 0
    assert "finished already" in ended.stderr
    assert not (tmp_path / "arguments").exists()


def test_elements_of_a_script_of_ones_own_are_not_done_twice(tmp_path):
    text = render(replace(job("slurm", "my.py", array="1-2"), recorded=False))
    for index, act in (("1", "exit 0"), ("2", "exit 3")):
        variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": index}
        for _ in range(2):
            (tmp_path / "arguments").unlink(missing_ok=True)
            ended = run_script(tmp_path, text, act, **variables)
        done = act == "exit 0"
        assert (tmp_path / "arguments").exists() != done
        assert ("finished already" in ended.stderr) == done
        assert ended.returncode == (0 if done else 3)


@pytest.mark.parametrize(
    ("scheduler", "mpi", "nodes", "refused"),
    [
        ("sge", "openmpi", 2, True),
        ("sge", "openmpi", 1, False),
        ("sge", "mpich", 2, False),
        ("slurm", "openmpi", 2, False),
    ],
)
def test_a_blank_in_the_path_is_refused_where_it_fails(scheduler, mpi, nodes, refused):
    asked = {"python": "/my home/bin/python", "mpi": mpi, "nodes": nodes}
    expected = pytest.raises(UsageError, match="blank") if refused else nullcontext()
    with expected:
        script(scheduler, ranks_per_node=4, **asked)


def test_an_interpreter_in_an_odd_directory(tmp_path):
    directory = tmp_path / "it's $(here) `x`" / "bin"
    stub(directory / "python", "exit 0")
    stub(directory / "mpiexec", FINISH.format(code=0, rc=0))
    text = script("slurm", python=str(directory / "python"))
    job = begin(tmp_path, text, "slurm", {})
    job.communicate(timeout=60)
    assert job.returncode == 0
    assert launcher_arguments(tmp_path)[-3:] == [
        str(directory / "python"),
        "-m",
        "mpiapps.pi",
    ]
