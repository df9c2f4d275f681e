"""Warnings, stops and preemption: signals of a job and timers of its script."""

import os
import re
import signal
import time
from dataclasses import replace

import pytest

from mpiapps.base.processes import start_of
from mpiapps.batch.render import render
from tests.batch.jobs import job, script
from tests.batch.scripts import begin, events, run_script, stub

pytestmark = pytest.mark.processes


def test_a_warning_reaches_the_launcher_and_its_code_comes_back(tmp_path):
    act = """trap 'echo warned >>"$ARGUMENTS"; exit 7' USR1
trap 'exit 9' TERM
touch ready; while :; do sleep 0.1; done"""
    stub(tmp_path / ".venv" / "bin" / "mpiexec", act)
    stub(tmp_path / ".venv" / "bin" / "python", "exit 0")
    text = script("slurm", standalone=True).replace(
        '"$SECONDS" -lt 10', '"$SECONDS" -lt 0'
    )
    text = text.replace('"$SECONDS" -ge 10', '"$SECONDS" -ge 0')
    cases = [
        (script("slurm"), signal.SIGTERM, 9),  # nothing to save yet
        *[(text, each, 7) for each in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)],
    ]
    for each, number, code in cases:
        (tmp_path / "ready").unlink(missing_ok=True)
        job = begin(tmp_path, each, "slurm", {})
        end = time.monotonic() + 30
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        job.send_signal(number)
        job.communicate(timeout=30)
        assert job.returncode == code


@pytest.mark.parametrize("scheduler", ["sge", "pbs", "lsf"])
@pytest.mark.parametrize("seconds", [-1, 1])
def test_the_script_warns_where_the_scheduler_does_not(scheduler, seconds, tmp_path):
    act = "trap 'exit 7' USR1; while :; do sleep 0.1; done"
    text = script(scheduler, standalone=True)
    text = text.replace('"$SECONDS" -lt 10', '"$SECONDS" -lt 0')
    text = re.sub("--time=[0-9]+", f"--time={seconds}", text)
    text = re.sub("--stop-margin=[0-9]+", "--stop-margin=0", text)
    ended = run_script(tmp_path, text, act, scheduler)
    assert "warned after" in ended.stderr
    assert ended.returncode == 7


@pytest.mark.parametrize("scheduler", ["sge", "pbs", "lsf"])
@pytest.mark.parametrize("killed", [False, True])
def test_the_timer_of_a_warning_ends_with_the_script(scheduler, killed, tmp_path):
    act = "kill -9 $PPID" if killed else "exit 0"
    text = script(scheduler)
    for number in range(20):
        place = tmp_path / str(number)
        place.mkdir()
        # The outputs are closed before run_script returns, so no process holds them.
        ended = run_script(place, text, act, scheduler)
        assert ended.returncode == (-signal.SIGKILL if killed else 70)
        assert "No such process" not in ended.stderr


# What scontrol reports of a job, and whether it starts again when asked to end.
PREEMPTED = "JobState=RUNNING PreemptTime=2026-11-27T14:10:31"
REPORTS = [
    ("JobState=CANCELLED PreemptTime=None", "end"),
    ("JobState=RUNNING PreemptTime=None", "end"),
    # Its grace time is over: Slurm starts it again by itself.
    ("JobState=COMPLETING PreemptTime=2026-11-27T14:10:31", "end"),
    (PREEMPTED, "requeue"),
]


def test_a_job_that_is_asked_to_end_is_started_again_only_if_preempted(tmp_path):
    act = """save() {
    echo "{\\"stopped\\": $MPIAPPS_ATTEMPT}" >"$MPIAPPS_CHECKPOINT"
    exit 75
}
trap save USR1; touch ready; while :; do sleep 0.1; done"""
    stub(tmp_path / ".venv" / "bin" / "mpiexec", act)
    stub(tmp_path / ".venv" / "bin" / "python", "exit 0")
    stub(tmp_path / "bin" / "scontrol", 'echo "$@" >>scontrol.told; echo "$SAYS"')
    text = script("slurm", standalone=True)
    text = text.replace('"$SECONDS" -ge 10', '"$SECONDS" -ge 0')
    for says, event in REPORTS:
        variables = {"SAYS": says}
        variables["PATH"] = f"{tmp_path}/bin:{os.environ['PATH']}"
        (tmp_path / "ready").unlink(missing_ok=True)
        job = begin(tmp_path, text, "slurm", variables)
        end = time.monotonic() + 30
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)
        job.communicate(timeout=30)
        assert (job.returncode, events(tmp_path)[-1]["event"]) == (75, event)
    assert (tmp_path / "scontrol.told").read_text().count("requeue 7") == 1


def test_a_rank_of_ones_own_script_ends_with_its_launcher(tmp_path):
    begin_rank = """while [ "$1" != setpriv ]; do shift; done
"$@" &
until [ -s pid ]; do sleep 0.1; done
kill -9 $$"""
    stub(tmp_path / ".venv" / "bin" / "mpiexec", begin_rank)
    stub(
        tmp_path / ".venv" / "bin" / "python",
        "trap '' TERM; echo $$ >pid; exec sleep 60",
    )
    text = render(replace(job("sge"), recorded=False), standalone=True)
    text = text.replace("|| NR != ", "&& NR != ")  # hosts are of no interest here
    start = begin(tmp_path, text, "sge", {"PE_HOSTFILE": os.devnull})
    start.communicate(timeout=30)  # its outputs are closed: no rank holds them
    assert start.returncode == 137
    assert start_of(int((tmp_path / "pid").read_text())) is None


@pytest.mark.parametrize("own", [False, True], ids=["program", "own script"])
def test_ranks_that_preemption_ended_are_started_again(own, tmp_path):
    """Slurm sends TERM to them, but not to the script, when the grace time begins."""
    stub(tmp_path / "bin" / "scontrol", 'echo "$@" >>scontrol.told; echo "$SAYS"')
    path = f"{tmp_path}/bin:{os.environ['PATH']}"
    text = render(replace(job("slurm"), recorded=not own))
    record = 'echo "\\"exit_code\\": 4, \\"finished\\": true}" >"$MPIAPPS_RECORD"'
    for says, act, code, event in [
        (PREEMPTED, "exit 143", 75, "requeue"),
        ("JobState=RUNNING PreemptTime=None", "exit 143", 143, "end"),
        *([] if own else [(PREEMPTED, f"{record}; exit 143", 4, "end")]),
    ]:
        ended = run_script(tmp_path, text, act, SAYS=says, PATH=path)
        assert (ended.returncode, events(tmp_path)[-1]["event"]) == (code, event)
