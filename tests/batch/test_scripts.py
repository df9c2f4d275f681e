"""Rendered scripts as bash runs them, with stub launchers: text, signals, codes."""

import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.base.processes import start_of
from mpiapps.batch.job_state import JobId
from mpiapps.batch.render import render
from mpiapps.batch.request import Parent
from mpiapps.batch.runs import append_event
from mpiapps.batch.scheduler import LIBRARY, load_scheduler
from mpiapps.batch.site import SCHEDULERS
from tests.batch.jobs import SITES, job, script
from tests.commands import clean_environment, run
from tests.hostile import carried, hostile

SUBMIT = {"slurm": "sbatch", "sge": "qsub", "pbs": "qsub", "lsf": "bsub <"}
# What a scheduler sets for the script of job 7.
VARIABLES = {
    "slurm": {"SLURM_JOB_ID": "7", "SLURM_SUBMIT_DIR": "."},
    "sge": {"JOB_ID": "7", "SGE_TASK_ID": "undefined", "SGE_O_WORKDIR": "."},
    "pbs": {"PBS_JOBID": "7.server", "PBS_O_WORKDIR": "."},
    "lsf": {
        "LSB_JOBID": "7",
        "LSB_JOBINDEX": "0",
        "LS_SUBCWD": ".",
        "LSB_MCPU_HOSTS": "n1 1",
    },
}
# Stands for mpiexec and for Python: tells its arguments, then does what it is told.
STUB = """#!/bin/bash
printf '%s\\0' "$@" >"$TOLD"
{ACT}
"""
SPECIAL = set(" \t\n\r'\"\\$`#;|&<>*?![]{}()~")
FIELDS = (
    *("name", "account", "queue", "array", "dependency", "mail_user", "logs"),
    *("env", "argument", "python", "program", "directives"),
)


def run_script(place, text, act="exit 0", scheduler="slurm", **variables):
    """Run a script with a stub as its launcher; return the process that ended."""
    stub(place / ".venv" / "bin" / "mpiexec", act)
    stub(place / ".venv" / "bin" / "python", "exit 0")
    start = begin(place, text, scheduler, variables)
    out, err = start.communicate(timeout=60)
    return subprocess.CompletedProcess([], start.returncode, out, err)


def stub(path, act):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUB.format(ACT=act))
    path.chmod(0o755)


def begin(place, text, scheduler, variables):
    (place / "job.sh").write_text(text)
    return subprocess.Popen(
        ["bash", "job.sh"],
        cwd=place,
        env=clean_environment(
            **VARIABLES[scheduler], TOLD=str(place / "told"), **variables
        ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(place):
    return (place / "told").read_text().split("\0")[:-1]


def events(place, run="pi-job7"):
    path = place / "logs" / run / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


FINISH = (
    """echo '{{"exit_code": {code}, "finished": true}}' >"$MPIAPPS_RECORD"; exit {rc}"""
)


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
    assert told(tmp_path)[-3:] == [".venv/bin/python", "-m", "mpiapps.pi"]
    assert (tmp_path / "logs" / "pi-job7").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("library", ["it's here/lib.sh", str(LIBRARY)])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_spooled_script_finds_the_library(tmp_path, scheduler, library):
    folder, spool = tmp_path / "submit dir", tmp_path / "spool"
    stub(folder / ".venv" / "bin" / "mpiexec", FINISH.format(code=0, rc=0))
    stub(folder / ".venv" / "bin" / "python", "exit 0")
    spool.mkdir()
    (spool / "5").write_text(render(job(scheduler), library=library))
    submitted_from = {
        name: str(folder) if text == "." else text
        for name, text in VARIABLES[scheduler].items()
    }

    def start(**variables):
        variables |= submitted_from | {"TOLD": str(tmp_path / "told")}
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
    copy = folder / "logs" / "pi-1" / LIBRARY.name
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


SAVE = """echo '{{"stopped": {attempt}}}' >"$MPIAPPS_CHECKPOINT"; exit {rc}"""


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
    # The link finds the run again: the same folder, attempt 2.
    del path["PBS_ARRAY_INDEX"]
    path |= {"PBS_JOBID": "8.server", "MPIAPPS_RUN": "pi-job7", "MPIAPPS_INDEX": "3"}
    variables = VARIABLES["pbs"] | path
    (tmp_path / "told").unlink()
    stub(tmp_path / ".venv" / "bin" / "mpiexec", FINISH.format(code=0, rc=0))
    done = subprocess.run(
        ["bash", words[-1]],
        cwd=tmp_path,
        env=clean_environment(TOLD=str(tmp_path / "told"), **variables),
        check=False,
    )
    assert done.returncode == 0
    assert events(tmp_path, "pi-job7_3")[-1]["attempt"] == 2


def test_a_run_that_is_finished_is_not_done_twice(tmp_path):
    act = FINISH.format(code=0, rc=0)
    assert run_script(tmp_path, script("slurm"), act).returncode == 0
    (tmp_path / "told").unlink()
    ended = run_script(tmp_path, script("slurm"), act)
    assert ended.returncode == 0
    assert "finished already" in ended.stderr
    assert not (tmp_path / "told").exists()


def test_a_warning_reaches_the_launcher_and_its_code_comes_back(tmp_path):
    act = """trap 'echo warned >>"$TOLD"; exit 7' USR1
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


def test_requeues_are_counted_since_the_last_submission(tmp_path):
    stub(tmp_path / "bin" / "scontrol", "exit 0")
    path = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "MPIAPPS_RUN": "pi-1"}
    text = script("slurm", max_requeues=1)
    folder = tmp_path / "logs" / "pi-1"
    folder.mkdir(parents=True)
    ends = []
    for attempt in range(1, 5):
        if attempt in (1, 3):  # submitted by hand; a second later, the clock says
            time.sleep(1.1 if attempt == 3 else 0)
            append_event(folder, "submit", JobId("7"))
        run_script(tmp_path, text, SAVE.format(attempt=attempt, rc=75), **path)
        ends.append(events(tmp_path, "pi-1")[-1]["event"])
    assert ends == ["requeue", "end", "requeue", "end"]


def test_elements_of_a_script_of_ones_own_are_not_done_twice(tmp_path):
    text = render(replace(job("slurm", "my.py", array="1-2"), recorded=False))
    for index, act in (("1", "exit 0"), ("2", "exit 3")):
        variables = {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": index}
        for _ in range(2):
            (tmp_path / "told").unlink(missing_ok=True)
            ended = run_script(tmp_path, text, act, **variables)
        done = act == "exit 0"
        assert (tmp_path / "told").exists() != done
        assert ("finished already" in ended.stderr) == done
        assert ended.returncode == (0 if done else 3)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_script_that_is_run_by_hand_says_how_to_submit_it(tmp_path, scheduler):
    (tmp_path / "job.sh").write_text(script(scheduler))
    ended = run(["bash", "job.sh"], cwd=tmp_path)
    assert ended.code == 78
    assert f"submit this script: {SUBMIT[scheduler]} job.sh" in ended.err


# What is known of the parent pi-1 -> whether its child begins, is blocked, or goes on
# as a job that waits for others. The child's own job waited for job 5.
WAITS = [
    (["start 5", "end 5 0"], False, "begins"),
    (["start 5", "end 5 3"], False, "blocked"),
    (["start 5"], False, "blocked"),  # killed
    (["start 5", "cancel 5"], False, "blocked"),
    (["start 5", "end 5 3"], True, "begins"),
    (["start 5"], True, "begins"),
    (["start 5", "requeue 5 75", "submit 6"], False, "6"),  # a chain
    (["start 5", "requeue 5 75", "submit 6"], True, "6"),
    (["start 5", "submit 6", "start 6"], False, "6"),
    (["start 5", "submit 6", "start 6", "end 6 0"], False, "begins"),
    (["start 5", "end 5 3", "submit 6"], False, "6"),  # submitted again
    (["start 5", "submit 6", "start 6", "end 6 4"], False, "blocked"),
]
LINK = {  # what submits a link, and prints its number
    "slurm": ("sbatch", "8;alpha", "--dependency=afterany:{}"),
    "sge": ("qsub", "8", "-hold_jid\n{}"),
    "pbs": ("qsub", "8.server", "-W\ndepend=afterany:{}"),
    "lsf": ("bsub", "Job <8> is submitted to queue <q>.", "-w\nended({})"),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("case", WAITS, ids=str)
def test_a_run_waits_for_runs_however_many_jobs_they_take(tmp_path, case, scheduler):
    told, may_fail, expected = case
    parent = tmp_path / "logs" / "pi-1"
    parent.mkdir(parents=True)
    tell(parent, told)
    asked = job(scheduler)
    parents = (Parent("logs/pi-1", "logs/pi-1"),)
    text = render(replace(asked, parents=parents, parents_may_fail=may_fail))
    command, says, wanted = LINK[scheduler]
    stub(tmp_path / "bin" / command, f'printf "%s\\n" "$@" >link.told; echo "{says}"')
    variables = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "MPIAPPS_WAITED": "5"}
    act = f"touch launched; {FINISH.format(code=0, rc=0)}"
    ended = run_script(tmp_path, text, act, scheduler, **variables)
    last = events(tmp_path)[-1]
    if expected == "begins":
        assert (last["event"], ended.returncode) == ("end", 0)
    elif expected == "blocked":
        assert (last["event"], ended.returncode) == ("blocked", 1)
        assert "logs/pi-1 is not done" in ended.stderr
    else:
        assert (last["event"], last["job"][:1], ended.returncode) == ("submit", "8", 0)
        words = (tmp_path / "link.told").read_text()
        assert wanted.format(expected) in words
        assert "MPIAPPS_WAITED=5:6" in words
    assert (tmp_path / "launched").exists() == (expected == "begins")


def tell(folder, told):
    lines = []
    for text in told:
        event, number, code = [*text.split(), "0"][:3]
        lines.append(
            f'{{"event": "{event}", "attempt": 1, "job": "{number}", "cluster": "",'
            f' "host": "n1", "code": {code}, "time": 1}}\n'
        )
    (folder / "events.jsonl").write_text("".join(lines))


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        ((["start 5", "end 5 0"], ["start 5", "end 5 0"]), "end"),
        ((["start 5", "end 5 0"], ["start 5", "end 5 3"]), "blocked"),
        ((["start 5", "end 5 0"], ["start 5", "submit 6"]), "submit"),
        ((["start 5", "end 5 0"], None), "blocked"),  # it never began
    ],
)
def test_a_run_waits_for_all_elements_of_an_array(tmp_path, each, expected):
    (tmp_path / "logs" / "pi-1").mkdir(parents=True)
    tell(tmp_path / "logs" / "pi-1", ["submit 5"])
    for index, told in zip((2, 4), each, strict=True):
        if told:
            (tmp_path / "logs" / f"pi-1_{index}").mkdir()
            tell(tmp_path / "logs" / f"pi-1_{index}", told)
    parents = (Parent("logs/pi-1", "logs/pi-1_{2,4}"),)
    text = render(replace(job("pbs"), parents=parents))
    stub(tmp_path / "bin" / "qsub", "echo 8.server")
    variables = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "MPIAPPS_WAITED": "5"}
    run_script(tmp_path, text, FINISH.format(code=0, rc=0), "pbs", **variables)
    assert events(tmp_path)[-1]["event"] == expected


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Render each hostile text in each field and dialect; `None`: it is refused."""
    place = tmp_path_factory.mktemp("hostile")
    texts = hostile(str(place / "canary"))
    cases = [
        (scheduler, field, text, attempt(scheduler, field, text))
        for scheduler in ("slurm", "sge", "pbs")
        for field in FIELDS
        for text in texts
    ]
    return place, cases


def attempt(scheduler, field, text):
    """Return the script with a hostile text in a field, or `None` if it is refused."""
    asked, words, site = {}, ["-m", "mpiapps.pi"], None
    match field:
        case "env":
            asked["env"] = (f"TEXT={text}",)
        case "argument":
            words.append(text)
        case "program":
            words = [text or "x.py"]
        case "python":
            asked["python"] = text or "python"
        case "directives":
            site = replace(SITES[scheduler], directives=(text,))
        case _:
            asked[field] = text
    try:
        return script(scheduler, *words, site=site, **asked)
    except UsageError:
        return None


def test_hostile_texts_are_carried_or_refused(rendered):
    _, cases = rendered
    assert len(cases) == 1440
    for scheduler, field, text, found in cases:
        if field in ("env", "argument", "program", "python"):
            assert (found is not None) == carried(text), (scheduler, field, text)
        elif text and found is not None:  # a directive holds nothing special
            plain = text.replace(" ", "") if field == "directives" else text
            assert not set(plain) & SPECIAL, (field, text)


def test_hostile_scripts_are_clean_for_bash(rendered):
    _, cases = rendered
    texts = {found for *_, found in cases if found is not None}
    assert len(texts) > 400
    for text in texts:
        done = subprocess.run(["bash", "-n"], input=text, text=True, check=False)
        assert done.returncode == 0, text


def test_hostile_scripts_are_clean_for_shellcheck(rendered, tmp_path):
    _, cases = rendered
    paths = []
    for scheduler in ("slurm", "sge", "pbs"):
        texts = [found for name, *_, found in cases if name == scheduler and found]
        paths.append(tmp_path / f"{scheduler}.sh")
        paths[-1].write_text(united(script(scheduler), texts))
    check = str(Path(sys.executable).parent / "shellcheck")
    # A quoted tilde or dollar is what was asked for; so is the same text twice.
    ignored = "--exclude=SC2088,SC2016,SC2026,SC1003"
    done = subprocess.run(
        [check, ignored, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def united(plain, texts):
    """Return one script with each line of all texts that the plain one has not.

    They differ in a line or two each; shellcheck of every one would take minutes.
    """
    base = plain.splitlines()
    added = {}  # line of the plain script -> what stands there in others
    for text in texts:
        lines = text.splitlines()
        same = difflib.SequenceMatcher(None, base, lines, autojunk=False)
        for kind, _, end, first, last in same.get_opcodes():
            if kind in ("replace", "insert"):
                added.setdefault(end, {}).update(dict.fromkeys(lines[first:last]))
    for place in sorted(added, reverse=True):
        base[place:place] = added[place]
    return "\n".join(base) + "\n"


def test_hostile_texts_arrive_byte_for_byte(rendered, tmp_path):
    place, cases = rendered
    act = 'printf "%s\\0" "${TEXT-}" >>"$TOLD"'
    for number, (scheduler, field, text, found) in enumerate(cases):
        if found is None or field not in ("env", "argument", "program"):
            continue
        here = tmp_path / str(number)
        here.mkdir()
        run_script(here, found, act, scheduler)
        *words, variable = told(here)
        expected = {
            "env": ["-m", "mpiapps.pi"],
            "argument": ["-m", "mpiapps.pi", text],
            "program": [text or "x.py"],
        }[field]
        assert words[-len(expected) :] == expected
        assert variable == (text if field == "env" else "")
        shutil.rmtree(here)
    assert not (place / "canary").exists()


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


def test_an_interpreter_in_an_odd_folder(tmp_path):
    folder = tmp_path / "it's $(here) `x`" / "bin"
    stub(folder / "python", "exit 0")
    stub(folder / "mpiexec", FINISH.format(code=0, rc=0))
    text = script("slurm", python=str(folder / "python"))
    job = begin(tmp_path, text, "slurm", {})
    job.communicate(timeout=60)
    assert job.returncode == 0
    assert told(tmp_path)[-3:] == [str(folder / "python"), "-m", "mpiapps.pi"]
