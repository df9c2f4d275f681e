"""Tasks that wait for others start after them, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import InputError
from mpiapps.taskfarm.attempt_queue import DEPENDENCY, AttemptQueue
from mpiapps.taskfarm.task_list import Task, read_list


def queue_of(tasks, pending=None, cores=(1,)):
    pending = range(len(tasks)) if pending is None else pending
    return AttemptQueue(tasks, list(pending), list(cores), Deadline(), 10)


def run(queue, codes):
    """Return the tasks in the order of their starts, and those that were not run."""
    started = []
    while (assignment := queue.next()) is not None:
        started.append(assignment[0])
        code = codes[assignment[0]]
        queue.end(assignment[0], {"code": code, "reason": "", "seconds": 0.0})
    return started, queue.not_run


@st.composite
def lists(draw):
    """Return tasks of which each may wait for tasks above it, and their exit codes."""
    count, stage, tasks = draw(st.integers(1, 12)), 0, []
    for number in range(count):
        names = [f"t{n}" for n in range(number)] or ["t0"]
        after = draw(st.lists(st.sampled_from(names), max_size=3)) if number else []
        stage += draw(st.booleans()) and draw(st.booleans())
        tasks.append(
            Task(f"c{number}", name=f"t{number}", after=tuple(after), stage=stage)
        )
    codes = draw(
        st.lists(st.sampled_from([0, 0, 0, 1]), min_size=count, max_size=count)
    )
    return tasks, codes, draw(st.sets(st.sampled_from(range(count))))


@given(lists())
def test_a_task_starts_after_those_it_waits_for(drawn):
    tasks, codes, done = drawn
    needs = [
        {n for n, other in enumerate(tasks) if other.stage < task.stage}
        | {int(name[1:]) for name in task.after}
        for task in tasks
    ]
    pending = [n for n in range(len(tasks)) if n not in done]
    started, not_run = run(queue_of(tasks, pending), codes)
    skipped = {n for n, _ in not_run}
    assert sorted([*started, *skipped]) == pending  # each once, none is forgotten
    good = set(done)
    for number in started:
        assert needs[number] <= good
        good |= {number} if codes[number] == 0 else set()
    bad = {n for n in started if codes[n]}
    assert all(needs[n] & (bad | skipped) for n in skipped)
    assert all(reason == DEPENDENCY for _, reason in not_run)


def test_tasks_of_one_name_are_waited_for_together():
    tasks = list(read_list(["c #: after=a", "x #: name=a", "y #: name=a"]))
    assert run(queue_of(tasks), [0, 0, 0])[0] == [1, 2, 0]


def test_a_retry_is_not_a_failure():
    tasks = list(read_list(["a #: name=a retries=1", "b #: after=a"]))
    queue = queue_of(tasks)
    queue.next()
    assert queue.end(0, {"code": 1, "reason": "", "seconds": 0.0})
    assert queue.not_run == []
    assert queue


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a", "b #: after=c"], "b: after=c, and no task has name=c"),
        (["a #: name=a after=a"], "tasks wait for each other.*'a'"),
        (["a #: name=a after=b", "b #: name=b after=a"], "'a' and 'b'|'b' and 'a'"),
        (["a #: after=b", "#: barrier", "b #: name=b"], "at a barrier.*'a'"),
    ],
)
def test_dependencies_that_cannot_be_met_are_an_error(lines, message):
    with pytest.raises(InputError, match=message):
        queue_of(list(read_list(lines)))


def test_a_task_that_ran_on_three_lost_hosts_fails():
    queue = queue_of(
        list(read_list(["ends its host", "b", "c #: name=c"])), None, [1] * 4
    )
    for host in range(3):
        while (assignment := queue.next()) is not None:
            if assignment[0]:
                queue.end(assignment[0], {"code": 0, "reason": "", "seconds": 0.0})
            else:
                lost = assignment[1]
        assert queue.remove_host(lost) == [0]
        assert queue.not_run == ([(0, "lost")] if host == 2 else [])
    assert not queue
