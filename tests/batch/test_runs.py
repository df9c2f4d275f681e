"""Runs: submission, cancellation, status of arrays and clusters, output files."""

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mpiapps.base.errors import FileAccessError, LaunchError, UsageError
from mpiapps.batch import job_state, runs, submission
from mpiapps.batch.history import read
from mpiapps.batch.job_state import JobId
from mpiapps.batch.scheduler import LIBRARY, load_scheduler
from mpiapps.batch.status import status, statuses
from mpiapps.cli import main
from tests.batch.jobs import script
from tests.batch.run_files import finish, write_events

CAT = shutil.which("cat") or "cat"
SBATCH = """#!/bin/sh
[ ! -e refuse ] || { echo 'sbatch: error: no such partition' >&2; exit 1; }
printf '%s\\n' "$@" >sbatch.told
n=$(cat number 2>/dev/null || echo 10); echo $((n + 1)) >number; cat number
"""


SQUEUE = """#!/bin/sh
printf '%s\\n' "$*" >>squeue.told
[ ! -e outage ] || { echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1; }
[ ! -e jobs ] || cat jobs
"""
SCANCEL = """#!/bin/sh
[ ! -e outage ] || { echo 'scancel: error: Unable to contact' >&2; exit 1; }
echo "$@" >>scancel.told
"""
SACCT = """#!/bin/sh
echo 'Slurm accounting storage is disabled' >&2; exit 1
"""
SCONTROL = """#!/bin/sh
echo "ClusterName = $(cat here 2>/dev/null || echo alpha)"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where sbatch counts, and squeue prints the file jobs, if it is there."""
    directory = tmp_path / "bin"
    directory.mkdir()
    texts = {"sbatch": SBATCH, "squeue": SQUEUE, "scancel": SCANCEL}
    for name, text in (texts | {"scontrol": SCONTROL, "sacct": SACCT}).items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{Path(CAT).parent}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def queue(place, *rows):
    """Let squeue tell of jobs: number, index or N/A, state, exit status, reason."""
    (place / "jobs").write_text("".join(f"{'|'.join(row.split())}|\n" for row in rows))


def test_each_submission_has_a_directory_of_its_own(place):
    text = script("slurm")
    first = submission.submit(text, "pi", "logs")
    library = (first.directory / LIBRARY.name).read_text()
    assert library == load_scheduler("slurm").shell_library()
    assert (first.name, first.id) == ("pi-1", "11")
    (place / "number").unlink()  # the cluster was set up anew: numbers come again
    second = submission.submit(text, "pi", "logs")
    assert (second.name, second.id) == ("pi-2", "11")
    told = (place / "sbatch.told").read_text().split()
    assert "--export=MPIAPPS_RUN=pi-2,MPIAPPS_CLUSTER=alpha" in told
    assert "--output=logs/pi-2/%x-%j.out" in told
    assert [run.name for run in runs.all_runs("logs")] == ["pi-1", "pi-2"]
    assert runs.find_run("logs", "pi-2") == second
    with pytest.raises(UsageError, match="pi-1, pi-2 all had job number 11"):
        runs.find_run("logs", "11")
    with pytest.raises(UsageError, match="no run 'pi-3'"):
        runs.find_run("logs", "pi-3")


def test_what_a_scheduler_refuses_leaves_nothing(place):
    (place / "refuse").touch()
    with pytest.raises(LaunchError, match="no such partition"):
        submission.submit(script("slurm"), "pi", "logs")
    assert list((place / "logs").iterdir()) == []


def test_a_cancelled_run_goes_on_under_its_name(place):
    run = submission.submit(script("slurm"), "pi", "logs")
    queue(place, "11 N/A PENDING 0 Priority")
    with pytest.raises(UsageError, match="is pending"):
        submission.resubmit(run)
    assert submission.cancel(run).state == job_state.CANCELLED
    assert (place / "scancel.told").read_text() == "11\n"
    queue(place, "11 N/A FAILED 256 None")
    assert status(run).state == job_state.CANCELLED
    assert submission.resubmit(run) == "12"
    assert run.ids() == ["11", "12"]
    assert runs.find_run("logs", "12").name == "pi-1"


def test_a_cancelled_run_that_still_ends_is_waited_for(place, monkeypatch, capsys):
    run = submission.submit(script("slurm"), "pi", "logs")
    write_events(run.directory, ["start 0 11"])
    queue(place, "11 N/A RUNNING 0 None")
    assert submission.cancel(run).state == job_state.CANCELLED
    pauses = []

    def sleep(seconds):
        pauses.append(seconds)
        queue(place, "11 N/A CANCELLED 0 None")

    # Of that module alone: the wait for a process sleeps, too.
    clock = SimpleNamespace(sleep=sleep, monotonic=time.monotonic)
    monkeypatch.setattr("mpiapps.batch.waiting.time", clock)
    assert main(["resubmit", "pi-1"]) == 0
    assert len(pauses) == 1
    assert run.ids() == ["11", "12"]
    assert "waiting for the end of the cancelled pi-1" in capsys.readouterr().err


def test_a_job_may_end_between_the_reading_of_its_files_and_the_query(place):
    run = submission.submit(script("slurm"), "pi", "logs")
    write_events(run.directory, ["start 0 11"])
    write_events(place, ["end 75 11"])
    late = f"cat events.jsonl >>{run.directory}/events.jsonl\n"
    (place / "bin" / "squeue").write_text(SQUEUE + late)
    queue(place, "11 N/A FAILED 19200 NonZeroExitCode")
    assert status(run).state == job_state.STOPPED


def test_what_has_ended_is_not_cancelled(place):
    run = submission.submit(script("slurm"), "pi", "logs")
    write_events(run.directory, ["start 0 11", "end 3 11"])
    assert submission.cancel(run).state == job_state.FAILED
    assert status(run).state == job_state.FAILED
    assert not (place / "scancel.told").exists()


def test_an_outage_is_no_end(place):
    run = submission.submit(script("slurm"), "pi", "logs")
    write_events(run.directory, ["start 0 11"])
    (place / "outage").touch()
    found = status(run)
    assert found.state == job_state.NO_ANSWER
    assert "Unable to contact" in found.reason
    with pytest.raises(UsageError, match=r"no answer .*Unable to contact"):
        submission.resubmit(run)
    with pytest.raises(LaunchError, match="scancel"):
        submission.cancel(run)
    assert "cancel" not in [event.event for event in read(run.directory)]
    finish(run.directory, 0)
    assert status(run).state == job_state.DONE


def test_what_cannot_be_told_is_not_submitted_again(place):
    run = submission.submit(script("slurm"), "pi", "logs")
    with pytest.raises(UsageError, match="unknown"):  # a moment ago: not there yet?
        submission.resubmit(run)
    run = submission.submit(script("slurm", array="1-2"), "pi", "logs")
    queue(place, "12 1 COMPLETED 0 None", "12 2 SPECIAL 0 None")
    with pytest.raises(UsageError, match="unknown"):
        submission.resubmit(run)


@pytest.mark.parametrize("array", ["1-3", "3-7:2"])
def test_an_array_is_as_its_elements_are(place, array):
    run = submission.submit(script("slurm", array=array), "pi", "logs")
    first, second, third = run.indices
    queue(place, f"11 {first} PENDING 0 JobHeldUser", f"11 {second} RUNNING 0 None")
    finish(run.element_directory(third), 0)
    found = status(run)
    assert [each.state for each in found.elements.values()] == [
        *(job_state.PENDING, job_state.RUNNING, job_state.DONE)
    ]
    assert (found.state, found.reason) == (job_state.RUNNING, "1 of 3 done")
    for index, code in zip(run.indices, (0, 0, 4), strict=True):
        finish(run.element_directory(index), code)
        write_events(run.element_directory(index), ["start 0 11", f"end {code} 11"])
    found = status(run)
    assert (found.state, found.code, found.reason) == ("failed", 4, "2 of 3 done")
    assert found.as_dict()["elements"][third]["state"] == "failed"
    (place / "logs" / "pi-1" / "script.sh").rename(
        run.element_directory(third) / "script.sh"
    )
    assert [each.name for each in runs.all_runs("logs")] == ["pi-1"]


def test_an_array_that_is_resubmitted_is_under_way_again(place):
    run = submission.submit(script("slurm", array="1-3"), "pi", "logs")
    for index, code in (("1", 0), ("2", 3), ("3", 137)):
        write_events(run.element_directory(index), ["start 0 11", f"end {code} 11"])
    finish(run.element_directory("1"), 0)
    finish(run.element_directory("2"), 3)
    assert status(run).state == job_state.FAILED
    submission.resubmit(run)
    queue(place, "12 2 RUNNING 0 None", "12 3 PENDING 0 None")
    found = status(run)
    assert [each.state for each in found.elements.values()] == [
        *(job_state.DONE, job_state.RUNNING, job_state.PENDING)
    ]
    assert {each.id for each in found.elements.values()} == {"12"}
    # One of them goes on by a chain, and its link is a job of its own.
    chain = ["start 0 12", "requeue 75 12", "submit 0 20 1"]
    write_events(run.element_directory("2"), chain, cluster="alpha")
    queue(place, "20 N/A RUNNING 0 None", "12 3 PENDING 0 None")
    found = status(run).elements["2"]
    assert (found.state, found.id) == (job_state.RUNNING, "20")
    submission.cancel(run)
    assert (place / "scancel.told").read_text() == "12 20\n"


def test_an_array_that_sbatch_was_given_is_one_run(place):
    for index in ("1", "2"):
        directory = place / "logs" / f"pi-alpha-job11_{index}"
        directory.mkdir(parents=True)
        (directory / "script.sh").write_text(script("slurm", array="1-2"))
        write_events(directory, ["start 0 11"])
    (run,) = runs.all_runs("logs")
    assert (run.name, run.id) == ("pi-alpha-job11", "11")
    queue(place, "11 1 RUNNING 0 None", "11 2 RUNNING 0 None")
    assert set(status(run).elements) == {"1", "2"}
    submission.cancel(run)
    assert (place / "scancel.told").read_text() == "11\n"


def test_jobs_of_another_cluster_with_the_same_number(place):
    ours = submission.submit(script("slurm"), "pi", "logs")
    (place / "number").unlink()
    (place / "here").write_text("beta")  # the other cluster's login node, same home
    theirs = submission.submit(script("slurm"), "pi", "logs")
    assert (ours.job, theirs.job) == (JobId("11", "alpha"), JobId("11", "beta"))
    queue(place, "11 N/A RUNNING 0 None")
    assert [each.state for each in statuses([ours, theirs])] == ["running"] * 2
    asked = (place / "squeue.told").read_text().splitlines()
    assert ["--clusters alpha" in line for line in asked] == [True, False]
    submission.cancel(ours)
    submission.cancel(theirs)
    told = (place / "scancel.told").read_text().splitlines()
    assert told == ["--clusters alpha 11", "11"]


def test_grid_engine_is_not_asked_for_another_cluster(place):
    for name, text in (("qsub", "echo 5"), ("qconf", "echo $(cat here)")):
        (place / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / "bin" / name).chmod(0o755)
    (place / "here").write_text("head1")
    run = submission.submit(script("sge"), "pi", "logs")
    (place / "here").write_text("head2")
    found = status(run)
    assert found.state == job_state.NO_ANSWER
    assert (
        found.reason
        == "the job is on cluster default@head1; this host queries default@head2"
    )
    with pytest.raises(LaunchError, match="default@head1"):
        submission.cancel(run)


def test_one_question_for_all_runs_and_none_for_those_that_are_done(place):
    found = [submission.submit(script("slurm"), "pi", "logs") for _ in range(5)]
    finish(found[0].directory, 0)
    queue(place, *[f"{run.id} N/A RUNNING 0 None" for run in found[1:]])
    assert [each.state for each in statuses(found)] == ["done", *["running"] * 4]
    assert len((place / "squeue.told").read_text().splitlines()) == 1
    for run in found:
        finish(run.directory, 0)
    assert {each.state for each in statuses(found)} == {"done"}
    assert len((place / "squeue.told").read_text().splitlines()) == 1


def test_directories_of_others_are_no_runs(place):
    run = submission.submit(script("slurm"), "pi", "logs")
    for name, text in (("x-1", b"echo mine\n"), ("y-1", b"\xff\xfe"), ("z-1", None)):
        directory = place / "logs" / name
        directory.mkdir()
        if text is None:
            (directory / "script.sh").mkdir()
        else:
            (directory / "script.sh").write_bytes(text)
    assert runs.all_runs("logs") == [run]


def test_a_logs_directory_that_is_none(place):
    (place / "file").touch()
    with pytest.raises(FileAccessError, match="cannot write file"):
        submission.submit(script("slurm"), "pi", "file")
    assert runs.all_runs("file") == []


def test_a_directory_that_cannot_be_written_is_found_before_the_submission(place):
    run = submission.submit(script("slurm"), "pi", "logs")
    write_events(run.directory, ["start 0 11", "end 3 11"])
    before = (place / "number").read_text()
    events = run.directory / "events.jsonl"
    events.rename(place / "events.jsonl")
    events.symlink_to(place / "no" / "events.jsonl")
    with pytest.raises((FileAccessError, UsageError)):
        submission.resubmit(run)
    assert (place / "number").read_text() == before


def test_a_job_that_cannot_be_noted_is_cancelled(place):
    (place / "bin" / "sbatch").write_text(
        SBATCH + "rm logs/pi-1/events.jsonl; mkdir logs/pi-1/events.jsonl\n"
    )
    with pytest.raises(FileAccessError, match="cannot write"):
        submission.submit(script("slurm"), "pi", "logs")
    assert (place / "scancel.told").read_text() == "11\n"


@pytest.mark.parametrize(
    ("scheduler", "number", "names"),
    [
        ("slurm", "11", {"pi-11.out", "pi-11_2.out"}),
        ("sge", "11", {"pi.11.out", "pi.11.2.out"}),
        ("pbs", "11.head", {"11.head.OU", "11[2].head.OU", "pi.o11", "pi.o11.2"}),
        ("lsf", "11", {"pi-11.out", "pi-11_2.out", "11.out", "11_2.out"}),
    ],
)
def test_output_is_found_by_number_and_by_nothing_like_it(
    place, scheduler, number, names
):
    others = {"pi-111.out", "pie-11.out", "x.11.out", "111.head.OU", "record.json"}
    directory = place / "logs" / "pi-1"
    directory.mkdir(parents=True)
    (directory / "script.sh").write_text(script(scheduler))
    write_events(directory, [f"submit 0 {number} 0"])
    for name in names | others:
        (directory / name).touch()
        (place / "logs" / name).touch()  # of another cluster's job, perhaps
    (run,) = runs.all_runs("logs")
    found = runs.outputs(run)
    assert {path.name for path in found} == names
    assert {path.parent for path in found} == {directory.relative_to(place)}
