"""--halt starts as many tasks as GNU parallel does."""

import shutil
import subprocess

import pytest

from mpiapps.base.deadline import Deadline
from mpiapps.taskfarm.attempt_queue import AttemptQueue
from mpiapps.taskfarm.halt import Halt
from mpiapps.taskfarm.task_list import Task

CODES = [0, 1, 0, 1, 0, 0, 1, 0]
# As GNU parallel 20221122 starts them, one at a time.
STARTED = {
    "never": 8,
    "0": 8,
    "1": 2,
    "2": 2,
    "-1": 1,
    "-2": 1,
    "25%": 4,
    "soon,fail=3": 7,
    "now,fail=30%": 7,
    "soon,fail=4": 8,
    "soon,success=2": 3,
    "now,success=50%": 6,
    "soon,done=5": 5,
    "now,done=1%": 1,
    "now,done=100%": 8,
}


def queue_of(text, pending=range(8)):
    tasks = [Task(f"exit {code}") for code in CODES]
    deadline = Deadline(environ={})
    return AttemptQueue(tasks, [*pending], [2], deadline, 0, halt=Halt.parse(text))


def end(queue, number, reason=""):
    record = {"code": CODES[number], "reason": reason, "seconds": 0.0}
    return queue.end(number, record)


@pytest.mark.parametrize("text", STARTED)
def test_tasks_started(text):
    queue, started = queue_of(text), 0
    while (assignment := queue.next()) is not None:
        started += 1
        end(queue, assignment[0])
    assert started == STARTED[text]
    assert not queue


def test_tasks_started_by_parallel(tmp_path):
    parallel = shutil.which("parallel")
    for text, started in STARTED.items() if parallel else ():
        log = tmp_path / "log"
        argv = [parallel, "-j1", "--halt", text, "--joblog", str(log), "exit", ":::"]
        argv += map(str, CODES)
        subprocess.run(argv, capture_output=True, check=False, timeout=60)
        assert len(log.read_text().splitlines()) == started + 1, text


@pytest.mark.parametrize(
    ("text", "ends"), [("soon,fail=1", False), ("now,fail=1", True)]
)
def test_running_tasks_are_terminated_by_now_alone(text, ends):
    queue = queue_of(text, [1, 0, 2])
    queue.next(), queue.next()
    assert not queue.drain_expired()
    end(queue, 1)
    assert queue  # one is running
    assert queue.next() is None
    assert queue.drain_expired() is ends
    assert not queue.drain_expired()  # once
    assert end(queue, 0, "stopped" if ends else "") is ends
    assert not queue


def test_tasks_of_earlier_runs_count_as_done_and_retries_as_neither():
    assert queue_of("soon,success=2", [0, 1]).next() is None
    assert queue_of("soon,fail=1", [0, 1]).next() == (0, 0)
    tasks, halt = [Task("false", retries=1)], Halt.parse("soon,fail=1")
    queue = AttemptQueue(tasks, [0], [1], Deadline(environ={}), 0, halt=halt)
    queue.next()
    assert queue.end(0, {"code": 1, "reason": "", "seconds": 0.0})
    assert queue  # the retry
    assert not queue.halted


@pytest.mark.parametrize(
    "text",
    ["", "soon", "soon,fail", "later,fail=1", "now,fail=0", "now,done=101%", "0%"],
)
def test_other_conditions_are_an_error(text):
    with pytest.raises(ValueError, match="is not never, or soon or now"):
        Halt.parse(text)
