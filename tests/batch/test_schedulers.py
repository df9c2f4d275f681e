"""What schedulers print, as real ones or their manuals do, and what it means."""

import json
import shutil

import pytest

from mpiapps.batch import job_state
from mpiapps.batch.client import CommandError
from mpiapps.batch.job_state import JobId, JobStatus, indices
from mpiapps.batch.scheduler import load_scheduler
from mpiapps.batch.site import SCHEDULERS

CAT = shutil.which("cat") or "cat"


@pytest.fixture
def answering(tmp_path, monkeypatch):
    """Return what puts commands on PATH that print a text, or fail with it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(code=0, **texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.txt").write_text(text)
            path, out = tmp_path / name, ">&2" if code else ""
            path.write_text(f"#!/bin/sh\n{CAT} {path}.txt {out}\nexit {code}\n")
            path.chmod(0o755)

    return put


def states(found):
    return {number: each.state for number, each in found.items()}


# squeue -r -O ArrayJobID:|,ArrayTaskID:|,State:|,exit_code:|,Reason:|  (22.05)
SQUEUE = """2|N/A|CANCELLED|15|None|
3|N/A|PENDING|0|JobHeldUser|
5|N/A|FAILED|768|NonZeroExitCode|
6|N/A|FAILED|9|JobLaunchFailure|
18|3|PENDING|0|JobArrayTaskLimit|
18|4|RUNNING|0|None|
CLUSTER: other
"""
SACCT = """12|COMPLETED|0:0
13|FAILED|3:0
14|CANCELLED by 0|0:15
15|TIMEOUT|0:0
16|OUT_OF_MEMORY|0:125
17|NODE_FAIL|1:0
18_1|COMPLETED|0:0
18_2|PREEMPTED|0:0
18_[3-9:2%4]|PENDING|0:0
18_4|PENDING|0:0
19_[1,3-4]|PENDING|0:0
"""


def test_slurm_by_the_controller_and_by_accounting(answering):
    answering(squeue=SQUEUE, sacct=SACCT)
    found = load_scheduler("slurm").job_statuses(["12"], "")
    assert states(found) == {
        "2": job_state.CANCELLED,
        "3": job_state.PENDING,
        "5": job_state.FAILED,
        "6": job_state.FAILED,
        "12": job_state.DONE,
        "13": job_state.FAILED,
        "14": job_state.CANCELLED,
        "15": job_state.TIMED_OUT,
        "16": job_state.OUT_OF_MEMORY,
        "17": job_state.FAILED,
        "18_1": job_state.DONE,
        "18_2": job_state.PREEMPTED,
        **{f"18_{n}": job_state.PENDING for n in (3, 5, 7, 9)},
        "18_4": job_state.RUNNING,  # the controller knows better
        **{f"19_{n}": job_state.PENDING for n in (1, 3, 4)},
    }
    assert [found[n].code for n in ("5", "6", "13", "14")] == [3, 137, 3, 143]
    assert found["3"].reason == "JobHeldUser"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1-3", "1 2 3"),
        ("1-9:2%4", "1 3 5 7 9"),
        ("1,3-4,8", "1 3 4 8"),
        ("7", "7"),
        ("", ""),
        ("x-3,5", "5"),
    ],
)
def test_indices(text, expected):
    assert list(indices(text)) == expected.split()


# qstat -u '*' -g d  (8.1.9)
QSTAT = """job-ID  prior   name  user  state submit/start at     queue  slots ja-task-ID
--------------------------------------------------------------------------------------
     12 0.50500 pi    root  r     11/20/2026 10:00:00 main.q@n1      4
     13 0.00000 pi    root  hqw   11/20/2026 10:00:00                4
     14 0.00000 pi    root  Eqw   11/20/2026 10:00:00                4
     15 0.50500 pi    root  Rr    11/20/2026 10:00:00 main.q@n1      4 3
     15 0.50500 pi    root  qw    11/20/2026 10:00:00                4 4
"""
QACCT = """==============================================================
jobname      pi
jobnumber    15
taskid       {task}
failed       {failed}
exit_status  {code}
"""


def test_grid_engine_by_the_queue_and_by_its_accounting(answering):
    ended = QACCT.format(task=1, failed=0, code=0) + QACCT.format(
        task=2, failed=0, code=3
    )
    answering(qstat=QSTAT, qacct=ended)
    found = load_scheduler("sge").job_statuses(["12", "13", "14", "15"], "")
    assert states(found) == {
        "12": job_state.RUNNING,
        "13": job_state.PENDING,
        "14": job_state.FAILED,
        "15_1": job_state.DONE,
        "15_2": job_state.FAILED,
        "15_3": job_state.RUNNING,
        "15_4": job_state.PENDING,
    }
    assert "held" in found["13"].reason
    assert "qstat -j" in found["14"].reason


@pytest.mark.parametrize(
    ("failed", "code", "expected"),
    [
        ("0", "0", job_state.DONE),
        ("0", "3", job_state.FAILED),
        (
            "100 : assumedly after job",
            "137                  (Killed)",
            job_state.FAILED,
        ),
        ("37  : qmaster enforced h_rt limit", "137", job_state.TIMED_OUT),
        ("1   : assumedly before job", "0", job_state.FAILED),
    ],
)
def test_grid_engine_by_its_accounting(answering, failed, code, expected):
    for task, key in (("undefined", "16"), ("2", "16_2")):
        text = QACCT.format(task=task, failed=failed, code=code)
        answering(qstat="", qacct=text)
        assert load_scheduler("sge").job_statuses(["16"], "")[key].state == expected


def pbs(state_letter, number="12.s", **more):
    return json.dumps({"Jobs": {number: {"job_state": state_letter, **more}}})


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        (pbs("Q"), "12.s", JobStatus(job_state.PENDING)),
        (
            pbs("Q", comment="Not Running: too few nodes"),
            "12.s",
            JobStatus(job_state.PENDING, None, "Not Running: too few nodes"),
        ),
        (pbs("R"), "12.s", JobStatus(job_state.RUNNING)),
        (pbs("F", Exit_status=0), "12.s", JobStatus(job_state.DONE, 0)),
        (pbs("F", Exit_status=75), "12.s", JobStatus(job_state.FAILED, 75)),
        (pbs("F", Exit_status=265), "12.s", JobStatus(job_state.FAILED, 137)),
        (pbs("F", Exit_status=-29), "12.s", JobStatus(job_state.TIMED_OUT, 227)),
        (pbs("F"), "12.s", JobStatus(job_state.CANCELLED)),
        (pbs("?"), "12.s", JobStatus(job_state.UNKNOWN)),
        (pbs("R", "4[3].head"), "4[].head_3", JobStatus(job_state.RUNNING)),
        (pbs("X", "4[3].head"), "4[].head_3", JobStatus(job_state.UNKNOWN)),
        (
            pbs("X", "4[3].head", Exit_status=0),
            "4[].head_3",
            JobStatus(job_state.DONE, 0),
        ),
        (pbs("B", "4[].head"), "4[].head", JobStatus(job_state.RUNNING)),
    ],
)
def test_pbs(answering, text, key, expected):
    answering(qstat=text)
    assert load_scheduler("pbs").job_statuses(["12.s"], "") == {key: expected}


def lsf(stat, code="", reason="", index="0", pending=""):
    row = {"JOBID": "12", "JOBINDEX": index, "STAT": stat, "PEND_REASON": pending}
    return json.dumps({"RECORDS": [row | {"EXIT_CODE": code, "EXIT_REASON": reason}]})


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        (lsf("PEND"), "12", JobStatus(job_state.PENDING)),
        (lsf("RUN"), "12", JobStatus(job_state.RUNNING)),
        (lsf("DONE"), "12", JobStatus(job_state.DONE, 0)),
        (lsf("EXIT", "3"), "12", JobStatus(job_state.FAILED, 3)),
        (
            lsf("EXIT", "140", "TERM_RUNLIMIT: killed"),
            "12",
            JobStatus(job_state.TIMED_OUT, 140, "TERM_RUNLIMIT: killed"),
        ),
        (
            lsf("EXIT", "130", "TERM_MEMLIMIT"),
            "12",
            JobStatus(job_state.OUT_OF_MEMORY, 130, "TERM_MEMLIMIT"),
        ),
        (
            lsf("EXIT", "130", "TERM_OWNER"),
            "12",
            JobStatus(job_state.CANCELLED, 130, "TERM_OWNER"),
        ),
        (
            lsf("PEND", pending="New job is waiting\n for scheduling;"),
            "12",
            JobStatus(job_state.PENDING, None, "New job is waiting for scheduling;"),
        ),
        (lsf("ZOMBI"), "12", JobStatus(job_state.UNKNOWN)),
        (lsf("RUN", index="3"), "12_3", JobStatus(job_state.RUNNING)),
    ],
)
def test_lsf(answering, text, key, expected):
    answering(bjobs=text)
    assert load_scheduler("lsf").job_statuses(["12"], "") == {key: expected}


# Command, exit code and what it says of a job that is not there.
GONE = [
    ("slurm", {"squeue": "slurm_load_jobs error: Invalid job id specified"}),
    ("sge", {"qacct": "error: job id 12 not found"}),
    ("pbs", {"qstat": "qstat: Unknown Job Id 12.s"}),
    ("lsf", {"bjobs": "Job <12> is not found"}),
]


@pytest.mark.parametrize(("scheduler", "texts"), GONE, ids=lambda each: str(each)[:5])
def test_a_job_that_is_not_there_is_an_answer(answering, scheduler, texts):
    if scheduler == "sge":
        answering(qstat="")
    answering(1, **texts)
    assert load_scheduler(scheduler).job_statuses(["12"], "") == {}


# What an outage looks like: said with an exit code, or printed as if all were well.
MUTE = [
    (
        "slurm",
        1,
        {
            "squeue": "slurm_load_jobs error: Unable to contact slurm controller"
            " (connect failure)"
        },
    ),
    ("slurm", 1, {"squeue": "slurm_load_jobs error: Protocol authentication error"}),
    (
        "sge",
        1,
        {
            "qstat": "error: commlib error: got select error (Connection refused)\n"
            'error: unable to send message to qmaster using port 6444 on host "head"'
        },
    ),
    ("pbs", 1, {"qstat": "Connection refused\nqstat: cannot connect to server s"}),
    ("pbs", 0, {"qstat": "no JSON"}),
    ("lsf", 255, {"bjobs": "Failed in an LSF library call: LIM is down; try later"}),
    ("lsf", 0, {"bjobs": "no JSON"}),
    *[(name, 0, {}) for name in SCHEDULERS],  # no such command on this host
]


@pytest.mark.parametrize(("scheduler", "code", "texts"), MUTE)
def test_an_outage_is_no_answer(answering, scheduler, code, texts):
    answering(code, **texts)
    with pytest.raises(CommandError):
        load_scheduler(scheduler).job_statuses(["12"], "")


def test_slurm_without_accounting_or_with_one_that_is_down(answering):
    answering(squeue=SQUEUE)
    answering(1, sacct="Slurm accounting storage is disabled")
    assert "12" not in load_scheduler("slurm").job_statuses(["12"], "")
    answering(1, sacct="sacct: error: Unable to connect to database")
    assert (
        load_scheduler("slurm").job_statuses(["5", "18"], "")["5"].state
        == job_state.FAILED
    )
    with pytest.raises(CommandError, match="database"):
        load_scheduler("slurm").job_statuses(["5", "12"], "")


@pytest.mark.usefixtures("answering")
def test_pbs_without_a_history(tmp_path):
    says = "qstat: job_history_enable is set to false"
    (tmp_path / "qstat").write_text(
        f'#!/bin/sh\ncase " $* " in *" -x "*) echo "{says}" >&2; exit 35;; esac\n'
        f"echo '{pbs('R')}'\n"
    )
    (tmp_path / "qstat").chmod(0o755)
    assert load_scheduler("pbs").job_statuses(["12.s"], "") == {
        "12.s": JobStatus(job_state.RUNNING)
    }


@pytest.mark.parametrize(
    ("scheduler", "text", "job"),
    [
        ("slurm", "12\n", JobId("12")),
        ("slurm", "12;c2\n", JobId("12", "c2")),
        ("sge", "12\n", JobId("12")),
        ("sge", "12.1-4:1\n", JobId("12")),
        ("pbs", "12.server.example.org\n", JobId("12.server.example.org")),
        ("pbs", "12[].server\n", JobId("12[].server")),
        ("lsf", "Job <12> is submitted to queue <normal>.\n", JobId("12")),
        *[(name, "no number here", None) for name in SCHEDULERS],
    ],
)
def test_the_job_is_found_in_what_submission_prints(scheduler, text, job):
    assert load_scheduler(scheduler).job_id(text) == job


@pytest.mark.parametrize(
    ("scheduler", "texts", "expected"),
    [
        ("slurm", {"scontrol": "ClusterName             = alpha\n"}, "alpha"),
        ("sge", {"qconf": "head\n"}, "default@head"),
        ("pbs", {}, ""),  # its numbers name the server
        ("lsf", {"lsid": "IBM LSF 10.1\n\nMy cluster name is c1\n"}, "c1"),
    ],
)
def test_the_cluster_of_this_host(answering, scheduler, texts, expected):
    answering(**texts)
    assert load_scheduler(scheduler).cluster() == expected


def test_variables_that_override_a_script_are_removed(monkeypatch):
    for name in ("SBATCH_TIMELIMIT", "SLURM_NTASKS", "SLURM_CONF", "MPIAPPS_RUN"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SLURM_CONF_SERVER", "x")
    environments = {n: load_scheduler(n).environment() for n in ("slurm", "sge")}
    assert "SLURM_CONF" in environments["slurm"]
    names = {"SBATCH_TIMELIMIT", "SLURM_NTASKS", "MPIAPPS_RUN", "SLURM_CONF_SERVER"}
    assert not names & environments["slurm"].keys()
    assert "MPIAPPS_RUN" not in environments["sge"]
    assert "PATH" in environments["sge"]
