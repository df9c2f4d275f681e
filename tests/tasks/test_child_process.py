"""A task in a child process has a time limit, and a crash costs it alone."""

import os
import pickle
import signal
import subprocess
import sys
import time
import traceback

import pytest

from mpiapps.app.context import RunContext
from mpiapps.base.processes import start_of
from mpiapps.tasks.child_process import InChildProcess
from mpiapps.tasks.engine import run_tasks
from mpiapps.tasks.executors import counter, manager, static, teams
from mpiapps.tasks.joblib_executor import loky, threading
from mpiapps.tasks.task_set import TaskFailure
from tests.commands import run
from tests.tasks.limited import Limited
from tests.tasks.roots import TeamSizes

CASES = [
    ("hang", "terminated at its time limit of 500 ms"),
    ("hang with a child", "terminated at its time limit of 500 ms"),
    ("segfault", "its process ended with signal 11 (SIGSEGV)"),
    ("real time signal", "its process ended with signal 40"),
    ("exit", "task 1 called sys.exit(3)"),
    ("leave a process and exit", "its process ended with exit code 3"),
    ("send a part", "terminated at its time limit of 500 ms"),
    ("fail", "it failed"),
    (
        "unpicklable",
        "the result of task 1 (function) cannot be pickled: return a picklable object",
    ),
    (
        "raise unpicklable",
        "the error of task 1 (TwoArguments) cannot be unpickled: TypeError:"
        " TwoArguments.__init__() missing 1 required positional argument: 'two'",
    ),
    (
        "unloadable",
        "the result of task 1 (Unloadable) cannot be unpickled: ValueError: invalid"
        " literal for int() with base 10: 'no number'",
    ),
]
# Acts that do not end the child.
KEPT = {"exit", "fail", "raise unpicklable", "unloadable", "unpicklable"}


@pytest.fixture
def limited():
    """Return a function that makes tasks in child processes, closed at the end."""
    made = []

    def make(*acts, directory="", **limits):
        made.append(InChildProcess(Limited(acts, directory), **limits))
        return made[-1]

    yield make
    for tasks in made:
        tasks.close()


@pytest.mark.parametrize(("act", "reason"), CASES)
def test_a_task_fails_alone(limited, act, reason):
    tasks = limited("", act, "", seconds=0.5)
    first, failed, last = tasks.run(range(3))
    assert (failed.number, failed.reason) == (1, reason)
    assert (first == last) == (act in KEPT)  # else the child was replaced
    assert os.getpid() not in (first, last)


def test_what_a_terminated_task_has_started_is_terminated(limited, tmp_path):
    directory = str(tmp_path)
    list(limited("hang with a child", seconds=1, directory=directory).run([0]))
    assert subprocess.run(["pgrep", "-f", directory], check=False).returncode == 1


def test_an_error_is_raised_where_the_task_is_run(limited):
    tasks = limited("raise error", "")
    with pytest.raises(ValueError, match="raised") as caught:
        list(tasks.run([0]))
    text = "".join(traceback.format_exception(caught.value))
    assert "in raise_error" in text
    assert isinstance(*tasks.run([1]), int)


def test_a_task_is_run_again_after_a_crash(limited, tmp_path):
    acts = "crash once", "segfault"
    good, bad = limited(*acts, directory=str(tmp_path), retries=1).run(range(2))
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
    assert copy.__reduce__()[1][2:] == (7, 2, 3)
    assert pickle.loads(pickle.dumps(tasks)) is copy  # a process has one
    assert len(copy) == 2


def test_a_task_that_returns_twice_has_one_result(limited):
    first, *others = limited("return twice", "", "").run(range(3))
    assert others == [first, first]


def test_a_task_is_not_blamed_for_the_end_of_another(limited):
    tasks = limited("end later", "")
    (first,) = tasks.run([0])
    time.sleep(1)
    assert first not in list(tasks.run([1]))


def test_an_interrupted_task_does_not_give_its_result_to_the_next(limited):
    tasks = limited("hang", "")
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    before = signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(tasks.run([0]))
    signal.signal(signal.SIGALRM, before)
    assert isinstance(*tasks.run([1]), int)


def test_a_long_limit(limited):
    assert isinstance(*limited("", seconds=400 * 86400).run([0]), int)


def test_a_fork_of_the_rank_leaves_its_child_alone():
    code = (
        "import os; from mpiapps.tasks.child_process import InChildProcess;"
        "from tests.tasks.limited import Limited;"
        "tasks = InChildProcess(Limited(['', '']));"
        "first = list(tasks.run([0])); pid = os.fork();"
        "pid or exit(); os.waitpid(pid, 0); print(first == list(tasks.run([1])))"
    )
    ended = run([sys.executable, "-c", code])
    assert ended.out == "True\n"


@pytest.mark.one_mpi
@pytest.mark.mpi
def test_workers_of_joblib_keep_their_child(world, limited):
    tasks = limited(*[""] * 12)
    results = run_tasks(RunContext.make(world), tasks, loky)
    if world.is_root:
        assert len(set(results.values)) <= os.cpu_count()


@pytest.mark.mpi
def test_tasks_of_several_ranks_are_refused(world):
    tasks = InChildProcess(TeamSizes([1, 2]))
    with pytest.raises(TypeError, match="task 1 takes 2 ranks"):
        run_tasks(RunContext.make(world), tasks, teams)


@pytest.mark.one_mpi
@pytest.mark.mpi
@pytest.mark.parametrize("executor", [static, counter, manager, threading, loky])
def test_limits_hold_on_any_executor(world, limited, executor):
    acts = "", "hang", "segfault", "", "fail"
    results = run_tasks(RunContext.make(world), limited(*acts, seconds=0.5), executor)
    assert {n: f.reason for n, f in results.failures.items()} == {
        1: CASES[0][1],
        2: CASES[2][1],
        4: "it failed",
    }
    if world.is_root:
        assert results.numbers.tolist() == [0, 3]


@pytest.mark.parametrize("act", ["hang", "hold the interpreter"])
def test_a_child_ends_with_its_rank(act):
    code = (
        "import sys; from mpiapps.tasks.child_process import InChildProcess;"
        "from tests.tasks.limited import Limited;"
        f"tasks = InChildProcess(Limited(['', '{act}']));"
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
