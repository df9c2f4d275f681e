"""What schedulers say of jobs, and what is made of it with a run's own events."""

import json
import shutil
from pathlib import Path

import pytest

from mpiapps.base.errors import LaunchError, UsageError
from mpiapps.batch import runs, state
from mpiapps.batch.judge import status_of
from mpiapps.batch.scheduler import TABLE
from mpiapps.batch.state import Seen
from tests.batch.jobs import script

SACCT = """12|COMPLETED|0:0
13|FAILED|3:0
14|CANCELLED by 0|0:15
15|TIMEOUT|0:0
16|OUT_OF_MEMORY|0:125
17|NODE_FAIL|1:0
18_1|COMPLETED|0:0
18_2|PREEMPTED|0:0
"""
SCONTROL = (
    "JobId=19 ArrayJobId=18 ArrayTaskId=3 JobName=pi JobState=RUNNING ExitCode=0:0\n"
    "JobId=20 ArrayJobId=18 ArrayTaskId=4 JobName=pi JobState=FAILED ExitCode=0:9\n"
)
QSTAT = """job-ID  prior   name  user  state submit/start at     queue  slots ja-task-ID
--------------------------------------------------------------------------------------
     12 0.50500 pi    root  r     11/20/2026 10:00:00 main.q@n1      4
     13 0.00000 pi    root  hqw   11/20/2026 10:00:00                4
     14 0.00000 pi    root  Eqw   11/20/2026 10:00:00                4
     15 0.50500 pi    root  Rr    11/20/2026 10:00:00 main.q@n1      4 2
"""
QACCT = """==============================================================
jobname      pi
jobnumber    16
taskid       {task}
failed       {failed}
exit_status  {code}
"""


def pbs(state_letter, **more):
    return json.dumps({"Jobs": {"12.s": {"job_state": state_letter, **more}}})


def lsf(stat, code="", reason=""):
    row = {"JOBID": "12", "JOBINDEX": "0", "STAT": stat}
    return json.dumps({"RECORDS": [row | {"EXIT_CODE": code, "EXIT_REASON": reason}]})


CAT = shutil.which("cat") or "cat"


def answering(tmp_path, monkeypatch, **commands):
    """Put commands on PATH that print texts; other ones of schedulers are not there."""
    for name, text in commands.items():
        (tmp_path / f"{name}.txt").write_text(text)
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\nexec {CAT} {tmp_path}/{name}.txt\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_slurm_by_accounting_and_by_the_controller(tmp_path, monkeypatch):
    answering(tmp_path, monkeypatch, sacct=SACCT, scontrol=SCONTROL)
    found = TABLE["slurm"].seen(["12"])
    assert {number: each.state for number, each in found.items()} == {
        "12": state.DONE,
        "13": state.FAILED,
        "14": state.CANCELLED,
        "15": state.TIMED_OUT,
        "16": state.OUT_OF_MEMORY,
        "17": state.FAILED,
        "18_1": state.DONE,
        "18_2": state.PREEMPTED,
        "18_3": state.RUNNING,
        "18_4": state.FAILED,
    }
    assert found["13"].code == 3
    assert found["18_4"].code == 137  # ended by signal 9


def test_grid_engine_by_the_queue(tmp_path, monkeypatch):
    answering(tmp_path, monkeypatch, qstat=QSTAT)
    found = TABLE["sge"].seen(["12", "13", "14", "15", "99"])
    assert {number: each.state for number, each in found.items()} == {
        "12": state.RUNNING,
        "13": state.PENDING,
        "14": state.FAILED,
        "15": state.RUNNING,
        "15_2": state.RUNNING,
    }


@pytest.mark.parametrize(
    ("failed", "code", "expected"),
    [
        ("0", "0", state.DONE),
        ("0", "3", state.FAILED),
        ("100 : assumedly after job", "137                  (Killed)", state.FAILED),
        ("37  : qmaster enforced h_rt limit", "137", state.TIMED_OUT),
        ("1   : assumedly before job", "0", state.FAILED),
    ],
)
def test_grid_engine_by_its_accounting(tmp_path, monkeypatch, failed, code, expected):
    text = QACCT.format(task="undefined", failed=failed, code=code)
    answering(tmp_path, monkeypatch, qstat="", qacct=text)
    assert TABLE["sge"].seen(["16"])["16"].state == expected
    text = QACCT.format(task="2", failed=failed, code=code)
    answering(tmp_path, monkeypatch, qstat="", qacct=text)
    assert TABLE["sge"].seen(["16"])["16_2"].state == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (pbs("Q"), Seen(state.PENDING)),
        (pbs("R"), Seen(state.RUNNING)),
        (pbs("F", Exit_status=0), Seen(state.DONE, 0)),
        (pbs("F", Exit_status=75), Seen(state.FAILED, 75)),
        (pbs("F", Exit_status=265), Seen(state.FAILED, 137)),
        (pbs("F", Exit_status=-29), Seen(state.TIMED_OUT, 227)),
        (pbs("F"), Seen(state.CANCELLED)),
        (pbs("?"), Seen(state.UNKNOWN)),
        ("qstat: Unknown Job Id 12", None),
    ],
)
def test_pbs(tmp_path, monkeypatch, text, expected):
    answering(tmp_path, monkeypatch, qstat=text)
    assert TABLE["pbs"].seen(["12.s"]).get("12.s") == expected


def test_elements_of_an_array_of_pbs_and_lsf(tmp_path, monkeypatch):
    jobs = {"12[].s": {"job_state": "B"}, "12[3].s": {"job_state": "R"}}
    rows = [{"JOBID": "12", "JOBINDEX": "3", "STAT": "RUN"}]
    answering(
        tmp_path,
        monkeypatch,
        qstat=json.dumps({"Jobs": jobs}),
        bjobs=json.dumps({"RECORDS": rows}),
    )
    for scheduler, number in (("pbs", "12[].s"), ("lsf", "12")):
        found = TABLE[scheduler].seen([number])
        assert found[f"{number}_3"].state == state.RUNNING


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (lsf("PEND"), state.PENDING),
        (lsf("RUN"), state.RUNNING),
        (lsf("DONE"), state.DONE),
        (lsf("EXIT", "3"), state.FAILED),
        (lsf("EXIT", "140", "TERM_RUNLIMIT: job killed"), state.TIMED_OUT),
        (lsf("EXIT", "137", "TERM_MEMLIMIT: job killed"), state.OUT_OF_MEMORY),
        (lsf("EXIT", "143", "TERM_OWNER: job killed"), state.CANCELLED),
        (lsf("ZOMBI"), state.UNKNOWN),
        ("not JSON", None),
    ],
)
def test_lsf(tmp_path, monkeypatch, text, expected):
    answering(tmp_path, monkeypatch, bjobs=text)
    found = TABLE["lsf"].seen(["12"]).get("12")
    assert (found.state if found else None) == expected


@pytest.mark.parametrize(
    ("scheduler", "text", "number"),
    [
        ("slurm", "12\n", "12"),
        ("slurm", "12;cluster\n", "12"),
        ("sge", "12\n", "12"),
        ("sge", "12.1-4:1\n", "12"),
        ("pbs", "12.server.example.org\n", "12.server.example.org"),
        ("pbs", "12[].server\n", "12[].server"),
        ("lsf", "Job <12> is submitted to queue <normal>.\n", "12"),
        *[(name, "no number here", None) for name in TABLE],
    ],
)
def test_the_number_is_found_in_what_submission_prints(scheduler, text, number):
    assert TABLE[scheduler].job_id(text) == number


# A run's events (the last is enough), whether its record is finished and with which
# code, and what the scheduler says -> what is made of it.
JUDGED = [
    (["submit"], None, Seen(state.PENDING), state.PENDING, None),
    (["start"], None, Seen(state.RUNNING), state.RUNNING, None),
    (["start", "end 0"], 0, Seen(state.DONE, 0), state.DONE, 0),
    (["start", "end 0"], 0, None, state.DONE, 0),  # the scheduler has forgotten
    (["start", "end 3"], 3, Seen(state.FAILED, 3), state.FAILED, 3),
    (["start", "end 3"], None, None, state.FAILED, 3),
    # Never a false success: an exit code 0 needs a witness.
    (["start"], None, Seen(state.DONE, 0), state.FAILED, 70),
    (["start", "end 70"], None, Seen(state.DONE, 0), state.FAILED, 70),
    (["submit"], None, Seen(state.DONE, 0), state.FAILED, 70),
    # Nor a false failure: the launcher died after the record was complete.
    (["start", "end 0"], 0, Seen(state.FAILED, 137), state.DONE, 0),
    (["start"], 0, Seen(state.FAILED, 137), state.DONE, 0),
    (["start", "cancel"], None, Seen(state.FAILED, 143), state.CANCELLED, None),
    (
        ["start", "cancel", "end 143"],
        None,
        Seen(state.CANCELLED),
        state.CANCELLED,
        None,
    ),
    (["start"], None, Seen(state.TIMED_OUT), state.TIMED_OUT, None),
    (["start"], None, Seen(state.OUT_OF_MEMORY, 137), state.OUT_OF_MEMORY, 137),
    (["start"], None, Seen(state.PREEMPTED), state.PREEMPTED, None),
    (["start", "end 75"], None, None, state.STOPPED, 75),
    (["start", "end 75"], None, Seen(state.FAILED, 75), state.STOPPED, 75),
    (["start", "requeue 75"], None, Seen(state.PENDING), state.PENDING, None),
    (["start"], None, None, state.LOST, None),
    (["submit"], None, None, state.UNKNOWN, None),
    ([], None, None, state.UNKNOWN, None),
    # The job had ended before its submission was noted.
    (["start", "end 3", "submit"], None, None, state.FAILED, 3),
    # A new submission: what came before it says nothing.
    (["start", "end 3", "submit 0 8"], None, None, state.UNKNOWN, None),
]


@pytest.mark.parametrize("case", JUDGED, ids=str)
def test_the_judgement(tmp_path, case):
    told, record, seen, expected, code = case
    with (tmp_path / "events.jsonl").open("w") as stream:
        for text in told:
            given = text.split()
            event, number, job = [*given, *["", "0", "7"][len(given) :]]
            line = {"event": event, "code": int(number), "job": job}
            stream.write(json.dumps(line) + "\n")
    if record is not None:
        content = {"exit_code": record, "finished": True}
        (tmp_path / "record.json").write_text(json.dumps(content))
    found = status_of(tmp_path, "7", seen, recorded=True)
    assert (found.state, found.code) == (expected, code)


def test_a_script_of_ones_own_has_no_record(tmp_path):
    found = status_of(tmp_path, "7", Seen(state.DONE, 0), recorded=False)
    assert (found.state, found.code) == (state.DONE, 0)


def test_torn_files_are_read_as_far_as_they_go(tmp_path):
    (tmp_path / "events.jsonl").write_text(
        '{"event": "start", "code": 0, "job": "7"}\n{"e'
    )
    (tmp_path / "record.json").write_text('{"exit_code": 0, "finish')
    assert status_of(tmp_path, "7", None, recorded=True).state == state.LOST


SBATCH = """#!/bin/sh
[ ! -e refuse ] || { echo 'sbatch: error: no such partition' >&2; exit 1; }
printf '%s\\n' "$@" >sbatch.told
n=$(cat number 2>/dev/null || echo 10); echo $((n + 1)) >number; cat number
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder where sbatch counts, and nothing else answers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sbatch").write_text(SBATCH)
    (folder / "scancel").write_text('#!/bin/sh\necho "$@" >scancel.told\n')
    for path in folder.iterdir():
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{Path(CAT).parent}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_submission_has_a_folder_of_its_own(place):
    text = script("slurm")
    first = runs.submit(text, "pi", "logs")
    assert (first.name, first.id) == ("pi-1", "11")
    (place / "number").unlink()  # the cluster was set up anew: numbers come again
    second = runs.submit(text, "pi", "logs")
    assert (second.name, second.id) == ("pi-2", "11")
    assert "--export=MPIAPPS_RUN=pi-2" in (place / "sbatch.told").read_text().split()
    assert [run.name for run in runs.all_runs("logs")] == ["pi-1", "pi-2"]
    assert runs.find("logs", "pi-2") == second
    with pytest.raises(UsageError, match="pi-1, pi-2 all had job number 11"):
        runs.find("logs", "11")
    with pytest.raises(UsageError, match="no run 'pi-3'"):
        runs.find("logs", "pi-3")


def test_what_a_scheduler_refuses_leaves_nothing(place):
    (place / "refuse").touch()
    with pytest.raises(LaunchError, match="no such partition"):
        runs.submit(script("slurm"), "pi", "logs")
    assert list((place / "logs").iterdir()) == []


def test_a_cancelled_run_goes_on_under_its_name(place):
    run = runs.submit(script("slurm"), "pi", "logs")
    with pytest.raises(UsageError, match="is pending"):
        runs.resubmit(with_state(place, run, "PENDING"))
    runs.cancel(run)
    assert (place / "scancel.told").read_text() == "11\n"
    assert with_state(place, run, "CANCELLED").status().state == state.CANCELLED
    assert runs.resubmit(run) == "12"
    assert run.ids() == ["11", "12"]
    assert runs.find("logs", "12").name == "pi-1"


def with_state(place, run, word):
    (place / "bin" / "sacct").write_text(f"#!/bin/sh\necho '{run.id}|{word}|0:0'\n")
    (place / "bin" / "sacct").chmod(0o755)
    return run


def test_an_array_is_as_its_elements_are(place):
    run = runs.submit(script("slurm", array="1-3"), "pi", "logs")
    for index, code in (("1", 0), ("2", 0), ("3", 4)):
        folder = place / "logs" / f"{run.name}_{index}"
        folder.mkdir()
        content = {"exit_code": code, "finished": True}
        (folder / "record.json").write_text(json.dumps(content))
        runs.note(folder, "start", run.id)
    found = run.status()
    assert (found.state, found.code, found.reason) == ("failed", 4, "2 of 3 done")
    assert found.as_dict()["elements"]["3"]["state"] == "failed"
    assert [each.name for each in runs.all_runs("logs")] == ["pi-1"]


def test_an_array_that_sbatch_was_given_is_one_run(place):
    for index in ("1", "2"):
        folder = place / "logs" / f"pi-job11_{index}"
        folder.mkdir(parents=True)
        (folder / "script.sh").write_text(script("slurm", array="1-2"))
        runs.note(folder, "start", "11")
    (run,) = runs.all_runs("logs")
    assert (run.name, run.id) == ("pi-job11", "11")
    assert set(run.status().elements) == {"1", "2"}
    runs.cancel(run)


def test_output_is_found_by_number_and_by_nothing_like_it(place):
    run = runs.submit(script("slurm"), "pi", "logs")
    for name in ("pi-11.out", "pi-11_2.out", "pi-111.out", "pie-11.out", "pi.11.out"):
        (place / "logs" / name).touch()
    names = {path.name for path in runs.outputs(run)}
    assert names == {"pi-11.out", "pi-11_2.out"}  # pi.11.out is Grid Engine's
