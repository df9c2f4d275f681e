"""Work queue: the root gives each free worker the next task."""

from collections import Counter
from collections.abc import Sequence

from mpiapps.learn.exercise import Exercise, Run, shown

QUEUE = (
    "the tasks are fixed before it is known how long they take. Let rank 0 receive from"
    " MPI.ANY_SOURCE, and send the next task to the rank that has answered"
    " (status.source)"
)


def examine(runs: Sequence[Run]) -> None:
    """Raise `Wrong` unless each task is done once, and the long one does not block."""
    for run in runs:
        tasks, longest = int(run.job.arguments[0]), float(run.job.arguments[1])
        lists = [run.items(rank, "done") for rank in range(run.ranks)]
        _once(run, tasks, lists)
        _results(run, tasks)
        if longest and run.ranks > 2:
            _balanced(run, tasks, lists)


def _once(run: Run, tasks: int, lists: list[list[object]]) -> None:
    times = Counter(task for done in lists for task in map(str, done))
    for task in map(str, range(tasks)):
        if times[task] == 1:
            continue
        hint = (
            "count what is sent: the first task of each worker, then one per answer,"
            " until there is none"
            if times[task] == 0
            else "rank 0 takes each task from the queue once: next(queue), or queue.pop"
        )
        raise run.wrong(f"task {task} of {tasks} was done {times[task]} times", hint)
    if unknown := set(times) - set(map(str, range(tasks))):
        raise run.wrong(
            f"a worker has done task {min(unknown)}",
            "the message that says `stop` is not a task: test for it before the work",
        )


def _results(run: Run, tasks: int) -> None:
    results = run.value(0, "results")
    if results != {str(task): task**2 for task in range(tasks)}:
        raise run.wrong(
            f"rank 0 has results = {shown(results)}",
            "results[task] is what work(task) returned: send the task with its value",
        )


def _balanced(run: Run, tasks: int, lists: list[list[object]]) -> None:
    workers = run.ranks - 1
    busy = next(rank for rank, done in enumerate(lists) if 0 in done)
    if len(lists[busy]) >= tasks // workers:
        raise run.wrong(
            f"rank {busy} had the long task 0 and {len(lists[busy]) - 1} others, while"
            " other workers were free",
            QUEUE,
        )


EXERCISE = Exercise(
    "Work queue",
    "11_queue.py",
    examine,
    runs=(
        *((ranks, ("5", "0")) for ranks in (2, 3, 4)),
        *((4, (tasks, "0")) for tasks in ("0", "1", "2", "3")),
        (3, ("13", "1.0")),
    ),
    keep=("done", "results"),
)
