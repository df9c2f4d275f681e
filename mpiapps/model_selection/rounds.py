"""Rounds of fits: a search that chooses candidates by the scores of earlier ones.

A search is a generator on the root: it yields the candidates of a round, and receives
their fits. All ranks execute the fits of each round.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mpiapps.model_selection.folds import NestedSplits, Splits
from mpiapps.model_selection.problem import CVProblem, Fit
from mpiapps.model_selection.search_space import Candidate

if TYPE_CHECKING:
    from mpiapps.comm.world import World


class Round(NamedTuple):
    """What the fits of a round need, besides the samples.

    Attributes
    ----------
    candidates : list of dict
    splits : Splits or NestedSplits, optional
        In place of those of the problem.
    resources : list of int
        Samples of the fits of each candidate; empty: all.
    pairs : tuple of (int, int)
        Candidate and split of each fit; empty: each candidate on each split.
    """

    candidates: list[Candidate]
    splits: Splits | NestedSplits | None = None
    resources: Sequence[int] = ()
    pairs: tuple[tuple[int, int], ...] = ()

    def of(self, problem: CVProblem) -> CVProblem:
        """Return the fits of this round."""
        return replace(
            problem, candidates=self.candidates, splits=self.splits or problem.splits,
            resources=list(self.resources), pairs=self.pairs,
        )  # fmt: skip


Search = Generator[Round, tuple[CVProblem, list[Fit]]]
# Executes the fits of a problem on all ranks; returns them on the root.
Execute = Callable[[CVProblem], list[Fit]]


@dataclass
class Found:
    """All fits of a search, as if they had been one round. Root only.

    Attributes
    ----------
    problem : CVProblem
        Its candidates are those of all rounds, in their order.
    fits : list of Fit
    columns : dict of str to list
        What the rounds add to ``cv_results_``: a value per candidate.
    last : int
        The first candidate that may be the best: in the last of rounds with a growing
        number of samples.
    """

    problem: CVProblem
    fits: list[Fit] = field(default_factory=list)
    columns: dict[str, list[Any]] = field(default_factory=dict)
    last: int = 0

    def add(self, number: int, part: CVProblem, fits: list[Fit]) -> None:
        """Add a round."""
        start = len(self.fits)
        self.fits += [replace(fit, number=start + fit.number) for fit in fits]
        before = len(self.problem.candidates)
        self.problem.candidates.extend(part.candidates)
        if part.truncate:
            self.columns["train_size"] = part.resources
        elif part.resources:
            self.last, n = before, len(part.candidates)
            self.columns.setdefault("iter", []).extend([number] * n)
            self.columns.setdefault("n_resources", []).extend(part.resources)


def run_rounds(
    world: World, problem: CVProblem, search: Search | None, execute: Execute
) -> Found:
    """Execute the rounds of a search. Collective.

    Parameters
    ----------
    problem : CVProblem
        Equal on all ranks.
    search : generator
        On the root; `None` elsewhere.
    execute : callable
        Collective.

    Raises
    ------
    Exception
        On all ranks: what the search raises on the root.
    """
    found = Found(replace(problem, candidates=[]))
    answer: tuple[CVProblem, list[Fit]] | None = None
    number = 0
    while True:
        step: Round | None = None
        with world.agree():
            if search is not None:
                step = next_round(search, answer)
        step = world.objects.bcast(step)
        if step is None:
            return found
        part = step.of(problem)
        fits = execute(part)
        found.add(number, part, fits)
        answer, number = (part, fits), number + 1


def next_round(
    search: Search, answer: tuple[CVProblem, list[Fit]] | None
) -> Round | None:
    """Return the next round of a search after an answer; `None` after the last."""
    try:
        return next(search) if answer is None else search.send(answer)
    except StopIteration:
        return None


def one_round(problem: CVProblem) -> Search:
    """Yield all candidates at once."""
    yield Round(problem.candidates, resources=problem.resources)
