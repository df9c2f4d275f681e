"""Tasks that wait for others: by name, and at barriers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from mpiapps.base.errors import InputError
from mpiapps.base.streams import abbreviated
from mpiapps.taskfarm.task_list import Task


class Dependencies:
    """Which of the tasks to run wait for which.

    Parameters
    ----------
    tasks : sequence of Task
        The whole list.
    pending : sequence of int
        Numbers of the tasks to run; nothing waits for the others, which are done.

    Attributes
    ----------
    ready : list of int
        The pending tasks that wait for nothing, at the start.

    Raises
    ------
    InputError
        If a task waits for a name that no task has, or if tasks wait for each other.

    Notes
    -----
    A graph whose nodes are tasks and barriers. A barrier waits for the tasks of its
    stage, and those below it for the barrier: one edge a task, not one a pair.
    """

    def __init__(self, tasks: Sequence[Task], pending: Sequence[int]) -> None:
        self._dependents = defaultdict[int, list[int]](list)
        self._waits = defaultdict[int, int](int)
        self._skipped: set[int] = set()
        self.ready = list(pending)
        if not any(task.after or task.stage for task in tasks):
            return
        self._add_edges(tasks, pending)
        self._check(tasks)
        for barrier in [n for n in self._dependents if n < 0 and not self._waits[n]]:
            list(self.release(barrier))
        self.ready = [number for number in pending if not self._waits[number]]

    def release(self, node: int) -> Iterator[int]:
        """Yield the tasks that wait for nothing more once `node` is done."""
        done = [node]
        while done:
            for dependent in self._dependents.pop(done.pop(), ()):
                self._waits[dependent] -= 1
                if self._waits[dependent] or dependent in self._skipped:
                    continue
                if dependent < 0:
                    done.append(dependent)
                else:
                    yield dependent

    def skip(self, node: int) -> Iterator[int]:
        """Yield the tasks that cannot run since `node` has failed, each once."""
        failed = [node]
        while failed:
            for dependent in self._dependents.pop(failed.pop(), ()):
                if dependent not in self._skipped:
                    self._skipped.add(dependent)
                    failed.append(dependent)
                    if dependent >= 0:
                        yield dependent

    def _add_edges(self, tasks: Sequence[Task], pending: Sequence[int]) -> None:
        """Add the edges of all tasks; the barrier below stage n is node -n - 1."""
        names = {task.name for task in tasks if task.name}
        named = defaultdict[str, list[int]](list)
        for number in pending:
            if tasks[number].name:
                named[tasks[number].name].append(number)
        for number in pending:
            task = tasks[number]
            for name in task.after:
                if name not in names:
                    raise InputError(
                        f"{abbreviated(task.command)}: after={name}, and no task"
                        f" has name={name}"
                    )
                for other in named[name]:
                    self._add_edge(other, number)
            self._add_edge(number, -task.stage - 1)
            if task.stage:
                self._add_edge(-task.stage, number)
        for stage in range(max(task.stage for task in tasks)):
            self._add_edge(-stage - 1, -stage - 2)

    def _add_edge(self, first: int, then: int) -> None:
        self._dependents[first].append(then)
        self._waits[then] += 1

    def _check(self, tasks: Sequence[Task]) -> None:
        """Raise `InputError` if tasks wait for each other."""
        waits = dict(self._waits)
        done = [node for node in self._dependents if not waits.get(node)]
        while done:
            for dependent in self._dependents.get(done.pop(), ()):
                waits[dependent] -= 1
                if not waits[dependent]:
                    done.append(dependent)
        blocked = {node for node, count in waits.items() if count}
        if not blocked:
            return
        first = {d: n for n in blocked for d in self._dependents.get(n, ())}
        node, path = next(iter(blocked)), list[int]()
        while node not in path:  # each blocked node waits for a blocked one
            path.append(node)
            node = first[node]
        cycle = [n for n in path[path.index(node) :] if n >= 0]
        commands = " and ".join(
            abbreviated(tasks[n].command, quoted=True) for n in cycle[:3]
        )
        raise InputError(
            f"tasks wait for each other, by after= or at a barrier: {commands}"
        )
