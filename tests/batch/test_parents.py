"""A run that depends on other runs waits for all of their jobs."""

import os
from dataclasses import replace

import pytest

from mpiapps.batch.render import render
from mpiapps.batch.request import Parent
from mpiapps.batch.site import SCHEDULERS
from tests.batch.jobs import job
from tests.batch.scripts import FINISH, events, run_script, stub

pytestmark = pytest.mark.processes

# Events of the parent pi-1 -> whether its child begins, is blocked, or continues as a
# job that waits for others. The child's own job waited for job 5.
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


def tell(directory, told):
    lines = []
    for text in told:
        event, number, code = [*text.split(), "0"][:3]
        lines.append(
            f'{{"event": "{event}", "attempt": 1, "job": "{number}", "cluster": "",'
            f' "host": "n1", "code": {code}, "time": 1}}\n'
        )
    (directory / "events.jsonl").write_text("".join(lines))


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
