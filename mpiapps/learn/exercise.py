"""What an exercise consists of, and what its check gets to see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ALL_RANKS = (1, 2, 3, 4)


class Wrong(Exception):
    """An answer that is not right: what was seen, and a hint.

    Attributes
    ----------
    what, hint : str
    run : Job, optional
        The run that shows it.
    """

    def __init__(self, what: str, hint: str, run: Job | None = None) -> None:
        super().__init__(what)
        self.what, self.hint, self.run = what, hint, run


@dataclass(frozen=True)
class Job:
    """One run of a file that a check asks for.

    Attributes
    ----------
    file : str
        Its path.
    ranks : int
        The size of the communicator that the file gets as ``MPI.COMM_WORLD``.
    arguments : tuple of str
        Its ``sys.argv[1:]``.
    keep : tuple of str
        The variables of the module whose values the check gets; ``$NAME`` is a
        variable of the environment.
    synchronous : bool
        Whether ``send`` waits until its message is received, as MPI permits.
    """

    file: str
    ranks: int
    arguments: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    synchronous: bool = False


@dataclass(frozen=True)
class Run:
    """A run that has ended on all its ranks.

    Attributes
    ----------
    job : Job
    outputs : tuple of str
        What each rank printed.
    values : tuple of dict
        The kept variables of each rank: numbers, texts, lists (also for arrays, of
        at most 1000 elements) and dicts; other objects are the name of their type in
        angle brackets.
    """

    job: Job
    outputs: tuple[str, ...]
    values: tuple[Mapping[str, Any], ...]

    @property
    def ranks(self) -> int:
        """The number of ranks."""
        return self.job.ranks

    def wrong(self, what: str, hint: str) -> Wrong:
        """Return the exception for a wrong answer that this run shows."""
        return Wrong(what, hint, self.job)

    def value(self, rank: int, name: str) -> Any:
        """Return a variable of a rank; raise `Wrong` if there is none."""
        if name not in self.values[rank]:
            raise self.wrong(
                f"rank {rank} has no variable `{name}` at the end",
                f"the check reads `{name}` at the top level of the file, not inside a"
                " function; keep the names of the starting file",
            )
        return self.values[rank][name]

    def number(self, rank: int, name: str) -> float:
        """Return a number of a rank; raise `Wrong` if it is something else."""
        value = self.value(rank, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(
                f"rank {rank} has {name} = {shown(value)}, which is not a number",
                f"`{name}` is one number on this rank{_none_hint(value)}",
            )
        return value

    def items(self, rank: int, name: str) -> list[Any]:
        """Return a list or array of a rank; raise `Wrong` if it is something else."""
        value = self.value(rank, name)
        if not isinstance(value, list):
            raise self.wrong(
                f"rank {rank} has {name} = {shown(value)}, which is not a list",
                f"`{name}` is a list or an array on this rank{_none_hint(value)}",
            )
        return value

    def each(self, name: str) -> list[Any]:
        """Return a variable of all ranks, in their order."""
        return [self.value(rank, name) for rank in range(self.ranks)]


def _none_hint(value: object) -> str:
    if value is not None:
        return ""
    return (
        "; a rank gets None from scatter and bcast if the root passed None, and from"
        " gather and reduce if it is not the root"
    )


def shown(value: object) -> str:
    """Return the text of a value, shortened to fit in a line."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:45]} ... {text[-10:]}"


Examine = Callable[[Sequence[Run]], None]


@dataclass(frozen=True)
class Exercise:
    """An exercise; its task is the docstring of its starting file.

    Attributes
    ----------
    title : str
    file : str
        Name of the starting file in ``mpiapps/learn/start``.
    examine : callable
        Raises `Wrong` if the runs show that the answer is wrong. Gets the runs in the
        order of `runs`, up to the first one that failed or did not end.
    runs : sequence of (int, tuple of str)
        Number of ranks and arguments of each run.
    keep : tuple of str
        Variables that the check gets (see `Job`).
    examine_text : callable
        Raises `Wrong` if the text of the file is wrong; called after `examine`.
    synchronous : bool
        See `Job`.
    """

    title: str
    file: str
    examine: Examine = lambda _runs: None
    runs: Sequence[tuple[int, tuple[str, ...]]] = tuple((n, ()) for n in ALL_RANKS)
    keep: tuple[str, ...] = ()
    examine_text: Callable[[str], None] = lambda _text: None
    synchronous: bool = False

    def jobs(self, path: str) -> list[Job]:
        """Return the runs of the file at `path`."""
        return [
            Job(path, ranks, words, self.keep, self.synchronous)
            for ranks, words in self.runs
        ]
