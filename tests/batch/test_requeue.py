"""A job with a checkpoint runs again: by the scheduler, or by a chain of jobs."""

import os
import subprocess
import time
from dataclasses import replace

from mpiapps.batch.job_state import JobId
from mpiapps.batch.runs import append_event
from mpiapps.batch.scheduler import LIBRARY
from tests.batch.jobs import SITES, script
from tests.batch.scripts import FINISH, SAVE, VARIABLES, events, run_script, stub
from tests.commands import clean_environment


def test_a_job_that_saved_is_started_again_whatever_the_launcher_returns(tmp_path):
    stub(tmp_path / "bin" / "scontrol", 'echo "$@" >scontrol.told')
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    text = script("slurm")
    ended = run_script(tmp_path, text, SAVE.format(attempt=1, rc=137), **path)
    assert ended.returncode == 75
    assert (tmp_path / "scontrol.told").read_text() == "requeue 7\n"
    # What the first attempt saved says nothing of how the second one ended.
    ended = run_script(tmp_path, text, "exit 137", **path)
    assert ended.returncode == 137
    assert [each["event"] for each in events(tmp_path)] == [
        *("start", "requeue"),
        *("start", "end"),
    ]


def test_grid_engine_and_lsf_start_again_by_99(tmp_path):
    for scheduler in ("sge", "lsf"):
        place = tmp_path / scheduler
        place.mkdir()
        act = SAVE.format(attempt=1, rc=75)
        assert run_script(place, script(scheduler), act, scheduler).returncode == 99
        act = SAVE.format(attempt=2, rc=75)
        ended = run_script(place, script(scheduler, max_requeues=1), act, scheduler)
        assert ended.returncode == 75  # often enough
        assert (
            run_script(place, script(scheduler), "exit 99", scheduler).returncode == 1
        )


def test_pbs_goes_on_by_another_job(tmp_path):
    stub(tmp_path / "bin" / "qsub", 'printf "%s\\n" "$@" >qsub.told; echo 8.server')
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PBS_ARRAY_INDEX": "3"}
    site = replace(SITES["pbs"], directives=("-W group_list=x", "-W umask=022"))
    text = script("pbs", array="1-4", dependency="5", site=site)
    ended = run_script(tmp_path, text, SAVE.format(attempt=1, rc=75), "pbs", **path)
    assert ended.returncode == 75
    words = (tmp_path / "qsub.told").read_text().splitlines()
    assert "MPIAPPS_RUN=pi-job7,MPIAPPS_INDEX=3,MPIAPPS_WAITED=" in words
    link = (tmp_path / words[-1]).read_text()
    assert "#PBS -J" not in link
    assert [line for line in link.splitlines() if "#PBS -W" in line] == [
        *("#PBS -W group_list=x", "#PBS -W umask=022")
    ]
    assert events(tmp_path, "pi-job7_3")[-1]["job"] == "8.server"
    assert (tmp_path / "logs" / "pi-job7" / LIBRARY.name).is_file()
    # The link finds the run again: the same directory, attempt 2.
    del path["PBS_ARRAY_INDEX"]
    path |= {"PBS_JOBID": "8.server", "MPIAPPS_RUN": "pi-job7", "MPIAPPS_INDEX": "3"}
    variables = VARIABLES["pbs"] | path
    (tmp_path / "arguments").unlink()
    stub(tmp_path / ".venv" / "bin" / "mpiexec", FINISH.format(code=0, rc=0))
    done = subprocess.run(
        ["bash", words[-1]],
        cwd=tmp_path,
        env=clean_environment(ARGUMENTS=str(tmp_path / "arguments"), **variables),
        check=False,
    )
    assert done.returncode == 0
    assert events(tmp_path, "pi-job7_3")[-1]["attempt"] == 2


def test_requeues_are_counted_since_the_last_submission(tmp_path):
    stub(tmp_path / "bin" / "scontrol", "exit 0")
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "MPIAPPS_RUN": "pi-1"}
    text = script("slurm", max_requeues=1)
    directory = tmp_path / "logs" / "pi-1"
    directory.mkdir(parents=True)
    ends = []
    for attempt in range(1, 5):
        if attempt in (1, 3):  # submitted by hand; a second later, the clock says
            time.sleep(1.1 if attempt == 3 else 0)
            append_event(directory, "submit", JobId("7"))
        run_script(tmp_path, text, SAVE.format(attempt=attempt, rc=75), **path)
        ends.append(events(tmp_path, "pi-1")[-1]["event"])
    assert ends == ["requeue", "end", "requeue", "end"]
