"""The task engine: each task once, recorded, resumed, on any executor."""

from pathlib import Path

import numpy as np
import pytest

from mpiapps.app.context import RunContext
from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed, InputError, LaunchError
from mpiapps.storage.directory_lock import DirectoryLock
from mpiapps.tasks.engine import run_tasks
from mpiapps.tasks.executors import counter, manager, static, teams
from mpiapps.tasks.joblib_executor import loky, threading
from mpiapps.tasks.task_journal import TaskJournal
from mpiapps.tasks.task_set import TaskFailure, TaskSet
from tests.tasks.roots import Roots, TeamSizes

pytestmark = pytest.mark.mpi
EXECUTORS = pytest.mark.parametrize("executor", [counter, static])


class Squares(TaskSet):
    """Squares of numbers; those of `bad` fail."""

    def __init__(self, n, bad=(), after=None):
        self.n, self.bad, self.after = n, bad, after
        self.done = []

    def __len__(self):
        return self.n

    def run(self, numbers):
        for number in numbers:
            self.done.append(number)
            if self.after is not None:
                self.after(number)
            if number in self.bad:
                yield TaskFailure(number, f"{number} is bad")
            else:
                yield [number, number**2]

    def is_valid(self, number, value):
        return value == [number, number**2]


class Rows(Squares):
    """The same, some at a time, and sent as rows of an array."""

    def chunks(self, pending, size):
        return [chunk.tolist() for chunk in np.array_split(pending, 3 * size)]

    def pack(self, values):
        return np.reshape(np.array(values, np.int64), (-1, 2))


@pytest.fixture
def directory(world, tmp_path_factory):
    return str(world.comm.bcast(tmp_path_factory.mktemp("journals")))


def done_by_all(world, tasks):
    return sorted(n for part in world.comm.allgather(tasks.done) for n in part)


@pytest.mark.parametrize(
    "executor",
    [
        static,
        counter,
        manager,
        threading,
        loky,
        teams,
    ],
    ids=["static", "counter", "manager", "threading", "loky", "teams"],
)
def test_results_are_the_same_on_any_executor(world, executor, directory):
    ctx, journal = RunContext.make(world), TaskJournal(directory)
    results = run_tasks(ctx, Roots(), executor, journal)
    if world.is_root:
        assert results.values == list(Roots().run(range(7)))
    resumed = run_tasks(ctx, Roots(), static, journal)
    assert resumed.resumed == 7
    if world.is_root:
        assert resumed.values == results.values


@EXECUTORS
@pytest.mark.parametrize("kind", [Squares, Rows])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 50])
def test_each_task_is_done_once(world, executor, kind, n):
    tasks = kind(n)
    results = run_tasks(RunContext.make(world), tasks, executor)
    assert done_by_all(world, tasks) == list(range(n))
    assert (results.remaining, results.resumed, results.failures) == (0, 0, {})
    if world.is_root:
        assert results.numbers.tolist() == list(range(n))
        assert [list(row) for row in results.values] == [[i, i**2] for i in range(n)]


@EXECUTORS
def test_a_failed_task_stops_no_other_and_is_tried_by_the_next_run(
    world, directory, executor
):
    ctx, journal = RunContext.make(world), TaskJournal(directory, {"of": "squares"})
    results = run_tasks(ctx, Squares(9, bad={0, 4, 8}), executor, journal)
    assert sorted(results.failures) == [0, 4, 8]
    assert results.failures[4].reason == "4 is bad"
    if world.is_root:
        assert results.numbers.tolist() == [1, 2, 3, 5, 6, 7]
    again = Squares(9)
    results = run_tasks(ctx, again, executor, journal)
    assert done_by_all(world, again) == [0, 4, 8]
    assert results.resumed == 6
    if world.is_root:
        assert results.values == [[i, i**2] for i in range(9)]


@EXECUTORS
@pytest.mark.parametrize("stop_after", [1, 2, 7])
def test_a_run_stops_and_resumes_without_loss(world, directory, executor, stop_after):
    n, every, starts = 20, [], 0
    while True:
        starts += 1
        deadline = Deadline(environ={})
        ctx = RunContext.make(world, deadline=deadline)

        tasks = Squares(n)

        def stop(_number, deadline=deadline, tasks=tasks):
            if len(tasks.done) == stop_after:
                deadline.stop_requested = True

        tasks.after = stop
        results = run_tasks(ctx, tasks, executor, TaskJournal(directory))
        every += done_by_all(world, tasks)
        try:
            results.stop_if_remaining(ctx, "squares")
        except Checkpointed:
            continue
        break
    assert sorted(every) == list(range(n))
    if stop_after < n // world.size:
        assert starts > 1
    if world.is_root:
        assert results.values == [[i, i**2] for i in range(n)]


def test_without_a_journal_a_signal_stops_nothing(world):
    deadline = Deadline(environ={})
    deadline.stop_requested = True
    tasks = Squares(10)
    run_tasks(RunContext.make(world, deadline=deadline), tasks, counter)
    assert done_by_all(world, tasks) == list(range(10))


def test_records_that_no_longer_hold_are_done_again(world, directory):
    ctx, journal = RunContext.make(world), TaskJournal(directory)
    run_tasks(ctx, Squares(5), counter, journal)

    class Cubes(Squares):
        def is_valid(self, number, _value):
            return number != 3

    tasks = Cubes(5)
    run_tasks(ctx, tasks, counter, journal)
    assert done_by_all(world, tasks) == [3]


def test_a_directory_of_other_work_is_refused(world, directory):
    ctx = RunContext.make(world)
    run_tasks(ctx, Squares(3), counter, TaskJournal(directory, {"of": "squares"}))
    other = TaskJournal(directory, {"of": "cubes"}, "other powers")
    with pytest.raises(InputError, match="is of other powers; give another directory"):
        run_tasks(ctx, Squares(3), counter, other)


def test_a_directory_in_use_is_refused_on_all_ranks(world, directory):
    lock = DirectoryLock(Path(directory, "owner"))
    if world.is_root:
        lock.__enter__()
    world.comm.Barrier()
    with pytest.raises(LaunchError, match="wait for it"):
        run_tasks(RunContext.make(world), Squares(3), counter, TaskJournal(directory))
    if world.is_root:
        lock.__exit__(None, None, None)


def test_a_journal_names_its_tasks_by_their_keys(world, directory):
    class Named(Squares):
        def key(self, number):
            return ["square", number]

    run_tasks(RunContext.make(world), Named(4), static, TaskJournal(directory))
    world.comm.Barrier()
    if world.is_root:
        text = "".join(p.read_text() for p in Path(directory).glob("journal.*"))
        assert text.count('"square"') == 4


def test_tasks_of_several_ranks_are_recorded_and_resumed(world, directory):
    size, n = max(1, world.size - 1), 6
    sizes = [1 + number % size for number in range(n)]
    deadline = Deadline(environ={})
    ctx, journal = RunContext.make(world, deadline=deadline), TaskJournal(directory)
    tasks = TeamSizes(sizes)
    deadline.stop_requested = True
    stopped = run_tasks(ctx, tasks, teams, journal)
    assert stopped.remaining == n
    deadline.stop_requested = False
    assert run_tasks(ctx, tasks, teams, journal).remaining == 0
    results = run_tasks(ctx, TeamSizes(["none runs again"] * n), teams, journal)
    assert results.resumed == n
    if world.is_root:
        assert results.values == [[size] * size for size in sizes]


def test_a_task_of_more_ranks_than_there_are_is_an_error(world):
    with pytest.raises(ValueError, match="a team of 99 ranks: give 1 to"):
        run_tasks(RunContext.make(world), TeamSizes([99]), teams)


@EXECUTORS
def test_a_run_without_tasks_has_its_timings(world, executor):
    run_tasks(RunContext.make(world), Squares(0), executor)
    timings = world.timings()
    assert not world.is_root or "kernel" in timings
