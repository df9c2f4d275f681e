"""A task in a child process has a time limit, and a crash costs it alone."""

import os
import pickle
import subprocess
import sys
import time

import pytest

from mpiapps.app.context import RunContext
from mpiapps.base.processes import start_of
from mpiapps.tasks.child_process import InChildProcess
from mpiapps.tasks.engine import run_tasks
from mpiapps.tasks.executors import counter, manager, static
from mpiapps.tasks.joblib_executor import loky, threading
from mpiapps.tasks.task_set import TaskFailure
from tests.tasks.limited import Limited

CASES = [
    ("hang", "terminated at its time limit of 1 s"),
    ("hang with a child", "terminated at its time limit of 1 s"),
    ("segfault", "its process ended with signal 11 (SIGSEGV)"),
    ("exit", "its process ended with exit code 3"),
    ("fail", "it failed"),
    (
        "unloadable",
        'its result cannot be unpickled: ValueError("invalid literal for int() with'
        " base 10: 'no number'\")",
    ),
]
KEPT = {"fail", "unloadable"}  # acts that do not end the child


@pytest.fixture
def limited():
    """Return a function that makes tasks in child processes, closed at the end."""
    made = []

    def make(*acts, folder="", **limits):
        made.append(InChildProcess(Limited(acts, folder), **limits))
        return made[-1]

    yield make
    for tasks in made:
        tasks.close()


@pytest.mark.parametrize(("act", "reason"), CASES)
def test_a_task_fails_alone(limited, act, reason):
    tasks = limited("", act, "", seconds=1)
    first, failed, last = tasks.run(range(3))
    assert failed == TaskFailure(1, reason)
    assert (first == last) == (act in KEPT)  # else the child was replaced
    assert os.getpid() not in (first, last)


def test_what_a_terminated_task_has_started_is_terminated(limited):
    list(limited("hang with a child", seconds=1).run([0]))
    assert subprocess.run(["pgrep", "-f", "^sleep 77.25"], check=False).returncode == 1


@pytest.mark.parametrize(
    ("act", "error"), [("raise", ValueError), ("unpicklable", Exception)]
)
def test_an_error_is_raised_where_the_task_is_run(limited, act, error):
    tasks = limited(act, "")
    with pytest.raises(error):
        list(tasks.run([0]))
    assert isinstance(*tasks.run([1]), int)


def test_a_task_is_run_again_after_a_crash(limited, tmp_path):
    acts = "once", "segfault"
    good, bad = limited(*acts, folder=str(tmp_path), retries=1).run(range(2))
    assert isinstance(good, int)
    assert isinstance(bad, TaskFailure)


@pytest.mark.parametrize(("limit", "processes"), [(0, 1), (1, 5), (2, 3)])
def test_a_child_is_replaced_after_some_tasks(limited, limit, processes):
    tasks = limited(*[""] * 5, max_tasks=limit)
    assert len(set(tasks.run(range(5)))) == processes


def test_imports_do_not_count_against_the_limit(limited, monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(2)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    start = time.monotonic()
    assert isinstance(*limited("", seconds=1).run([0]), int)
    assert time.monotonic() - start > 2  # the module was loaded


def test_a_copy_has_the_limits(limited):
    tasks = limited("a", "b", seconds=7, retries=2, max_tasks=3)
    copy = pickle.loads(pickle.dumps(tasks))
    assert copy.__reduce__()[1][1:] == (7, 2, 3)
    assert len(copy) == 2


@pytest.mark.mpi
@pytest.mark.parametrize("executor", [static, counter, manager, threading, loky])
def test_limits_hold_on_any_executor(world, limited, executor):
    acts = "", "hang", "segfault", "", "fail"
    results = run_tasks(RunContext.make(world), limited(*acts, seconds=1), executor)
    assert {n: f.reason for n, f in results.failures.items()} == {
        1: CASES[0][1],
        2: CASES[2][1],
        4: "it failed",
    }
    if world.is_root:
        assert results.numbers.tolist() == [0, 3]


def test_a_child_ends_with_its_rank():
    code = (
        "import sys; from mpiapps.tasks.child_process import InChildProcess;"
        "from tests.tasks.limited import Limited;"
        "tasks = InChildProcess(Limited(['', 'hang']));"
        "print(*tasks.run([0]), flush=True); list(tasks.run([1]))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as rank:
        child = int(rank.stdout.readline())
        assert start_of(child)
        rank.kill()
    end = time.monotonic() + 30
    while start_of(child):
        assert time.monotonic() < end
        time.sleep(0.05)
