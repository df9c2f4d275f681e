"""The status of a run from its events, its record and the scheduler's status."""

import pytest

from mpiapps.batch import job_state
from mpiapps.batch.history import history, read
from mpiapps.batch.job_state import JobStatus
from mpiapps.batch.run_status import status_of
from tests.batch.run_files import finish, write_events

# A run's events, the exit code of its finished record, and what the scheduler says ->
# what is made of it. An event is name, code, job and attempt: 0, 7 and 1 if left out.
JUDGED = [
    (["submit 0 7 0"], None, JobStatus(job_state.PENDING), job_state.PENDING, None),
    (["start"], None, JobStatus(job_state.RUNNING), job_state.RUNNING, None),
    (["start", "end 0"], 0, JobStatus(job_state.DONE, 0), job_state.DONE, 0),
    (["start", "end 0"], 0, None, job_state.DONE, 0),  # the scheduler has forgotten
    (["start", "end 3"], 3, JobStatus(job_state.FAILED, 3), job_state.FAILED, 3),
    (["start", "end 3"], None, None, job_state.FAILED, 3),
    # Never a false success: an exit code 0 needs a witness.
    (["start"], None, JobStatus(job_state.DONE, 0), job_state.FAILED, 70),
    (["start", "end 70"], None, JobStatus(job_state.DONE, 0), job_state.FAILED, 70),
    (["submit 0 7 0"], None, JobStatus(job_state.DONE, 0), job_state.FAILED, 70),
    # Nor a false failure: the launcher died after the record was complete.
    (["start", "end 0"], 0, JobStatus(job_state.FAILED, 137), job_state.DONE, 0),
    (["start"], 0, JobStatus(job_state.FAILED, 137), job_state.DONE, 0),
    (["start"], 0, JobStatus(job_state.RUNNING), job_state.DONE, 0),
    # Cancelled, whatever the scheduler makes of it; but not what is done or still runs.
    (
        ["start", "cancel"],
        None,
        JobStatus(job_state.FAILED, 143),
        job_state.CANCELLED,
        None,
    ),
    (
        ["start", "end 1", "cancel"],
        None,
        JobStatus(job_state.FAILED, 1),
        job_state.CANCELLED,
        None,
    ),
    (["start", "cancel", "end 143"], None, None, job_state.CANCELLED, None),
    (["start", "end 75", "cancel"], None, None, job_state.CANCELLED, None),
    (
        ["start", "end 0", "cancel"],
        0,
        JobStatus(job_state.CANCELLED),
        job_state.DONE,
        0,
    ),
    (["start", "cancel"], None, JobStatus(job_state.RUNNING), job_state.RUNNING, None),
    (["start"], None, JobStatus(job_state.TIMED_OUT), job_state.TIMED_OUT, None),
    (
        ["start"],
        None,
        JobStatus(job_state.OUT_OF_MEMORY, 137),
        job_state.OUT_OF_MEMORY,
        137,
    ),
    (["start"], None, JobStatus(job_state.PREEMPTED), job_state.PREEMPTED, None),
    (["start", "end 75"], None, None, job_state.STOPPED, 75),
    (["start", "end 75"], None, JobStatus(job_state.FAILED, 75), job_state.STOPPED, 75),
    (
        ["start", "requeue 75"],
        None,
        JobStatus(job_state.PENDING),
        job_state.PENDING,
        None,
    ),
    (["start", "requeue 75"], None, None, job_state.STOPPED, 75),
    (["start"], None, None, job_state.LOST, None),
    (["submit 0 7 0"], None, None, job_state.LOST, None),  # long ago
    # Its parents are not done.
    (
        ["submit 0 7 0", "blocked 1"],
        None,
        JobStatus(job_state.FAILED, 1),
        job_state.CANCELLED,
        None,
    ),
    # The scheduler cannot be asked: what the run says is believed, and no more.
    (["start", "end 3"], None, JobStatus(job_state.NO_ANSWER), job_state.FAILED, 3),
    (["start", "end 0"], 0, JobStatus(job_state.NO_ANSWER), job_state.DONE, 0),
    (["start"], None, JobStatus(job_state.NO_ANSWER), job_state.NO_ANSWER, None),
    (
        ["start", "requeue 75"],
        None,
        JobStatus(job_state.NO_ANSWER),
        job_state.NO_ANSWER,
        None,
    ),
    (["submit 0 7 0"], None, JobStatus(job_state.NO_ANSWER), job_state.NO_ANSWER, None),
    # The job had ended before its submission was noted.
    (["start", "end 3", "submit 0 7 0"], None, None, job_state.FAILED, 3),
    # A new submission: what came before it says nothing.
    (["start", "end 3", "submit 0 8 0"], None, None, job_state.LOST, None),
    (
        ["start", "cancel", "submit 0 8 0"],
        None,
        JobStatus(job_state.FAILED),
        job_state.FAILED,
        70,
    ),
]


@pytest.mark.parametrize("case", JUDGED, ids=str)
def test_the_judgement(tmp_path, case):
    told, record, seen, expected, code = case
    write_events(tmp_path, told)
    if record is not None:
        finish(tmp_path, record)
    found = status_of(tmp_path, history(read(tmp_path)), seen, recorded=True)
    assert (found.state, found.code) == (expected, code)


@pytest.mark.parametrize(
    ("told", "job", "restarts"),
    [
        ([], "", 0),
        (["submit 0 7 0"], "7", 0),
        (["submit 0 7 0", "start", "requeue 75", "start"], "7", 1),
        (["submit 0 7 0", "start", "start"], "7", 1),  # by the scheduler itself
        (["submit 0 7 0", "start", "submit 0 8 1", "start 0 8"], "8", 1),  # a chain
        (["start", "start", "submit 0 9 0", "start 0 9"], "9", 0),
        (["start", "submit 0 7 0"], "7", 0),
        (["start 0 12[3].s"], "12[].s", 0),
    ],
)
def test_the_job_and_its_restarts(tmp_path, told, job, restarts):
    write_events(tmp_path, told)
    found = history(read(tmp_path))
    assert (found.job.number, found.restarts) == (job, restarts)


def test_a_script_of_ones_own_has_no_record(tmp_path):
    found = status_of(
        tmp_path, history([]), JobStatus(job_state.DONE, 0), recorded=False
    )
    assert (found.state, found.code) == (job_state.DONE, 0)
    write_events(tmp_path, ["start", "end 0", "cancel"])
    past = history(read(tmp_path))
    found = status_of(tmp_path, past, JobStatus(job_state.CANCELLED), recorded=False)
    assert (found.state, found.code) == (job_state.DONE, 0)


def test_torn_and_foreign_files_are_read_as_far_as_they_go(tmp_path):
    (tmp_path / "events.jsonl").write_text(
        '[1]\n{"event": "start", "code": 0, "job": "7"}\n{"event": "x"}\n{"e'
    )
    for text in ('{"exit_code": 0, "finish', '{"finished": true}', "[]", "null"):
        (tmp_path / "record.json").write_text(text)
        found = status_of(tmp_path, history(read(tmp_path)), None, recorded=True)
        assert found.state == job_state.LOST
