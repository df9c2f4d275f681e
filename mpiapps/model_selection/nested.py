"""Nested cross-validation: a search on the training samples of each outer fold.

The best candidate of each is fitted to these samples and scored on those of the fold,
which the search has not seen: Varma, Simon, Bias in error estimation when using
cross-validation for model selection (BMC Bioinformatics 7:91, 2006). The searches run
side by side: a round of fits has those of all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from mpiapps.app import Result
from mpiapps.base.errors import TasksFailed
from mpiapps.model_selection.folds import NestedSplits, Splits
from mpiapps.model_selection.problem import CVProblem, Fit
from mpiapps.model_selection.report import (
    best_candidate,
    notes_of,
    rows,
    score_table,
)
from mpiapps.model_selection.results import MISSING
from mpiapps.model_selection.rounds import Found, Round, Search, next_round
from mpiapps.model_selection.scoring import SINGLE, metric_names, refit_metric

MakeSearch = Callable[[CVProblem], Search]


def nest(problem: CVProblem, outer: Splits, inner: list[Splits]) -> CVProblem:
    """Return a problem with inner and outer splits.

    Parameters
    ----------
    problem : CVProblem
    outer : Splits
    inner : list of Splits
        Of the training samples of each outer fold, by their positions in it.
    """
    splits = NestedSplits(outer, tuple(inner))
    return replace(problem, splits=splits, inner=tuple(map(len, inner)))


class OuterFit(NamedTuple):
    """The fit of an outer fold.

    Attributes
    ----------
    outer : int
    candidate : int
        That the search of this fold has found.
    inner_scores : dict of str to float
        Its means on the inner folds.
    parameters : dict
    fit : Fit
    """

    outer: int
    candidate: int
    inner_scores: dict[str, float]
    parameters: dict[str, Any]
    fit: Fit


class Nested:
    """A search on each outer fold. Root only.

    Parameters
    ----------
    problem : CVProblem
        Of `nest`.
    make : callable
        Returns the search of a problem.
    refit : str
        The score by which searches choose.

    Attributes
    ----------
    found : list of Found
        The inner fits of each outer fold.
    outer : list of OuterFit
        Of folds whose search has found a candidate.
    """

    def __init__(self, problem: CVProblem, make: MakeSearch, refit: str = "") -> None:
        assert isinstance(problem.splits, NestedSplits)
        self._problem, self._make, self._refit = problem, make, refit
        self._splits = problem.splits
        ends = np.cumsum(problem.inner)
        self._starts = [int(n) for n in ends - problem.inner]
        self._parts = [self._part(number) for number in range(len(problem.inner))]
        self.found = [Found(replace(part, candidates=[])) for part in self._parts]
        self.outer: list[OuterFit] = []

    def _part(self, number: int) -> CVProblem:
        """Return what the search of an outer fold knows: targets, inner splits.

        Samples are those of all folds, as searches do not read them.
        """
        train = self._splits.outer[number][0]
        return replace(
            self._problem, y=self._problem.y[train], inner=(), subset=train,
            splits=self._splits.inner[number],
        )  # fmt: skip

    def search(self) -> Search:
        """Yield the rounds of all searches, side by side; then the outer fits."""
        running = {n: self._make(part) for n, part in enumerate(self._parts)}
        answers: dict[int, tuple[CVProblem, list[Fit]] | None] = dict.fromkeys(running)
        number = 0
        while True:
            steps = {n: next_round(s, answers[n]) for n, s in running.items()}
            rounds = {n: step for n, step in steps.items() if step is not None}
            if not rounds:
                break
            running = {n: running[n] for n in rounds}
            _, fits = yield self._together(rounds)
            start = 0
            for n, step in rounds.items():
                part = step.of(self._parts[n])
                own = fits[start : start + len(part)]
                start += len(part)
                own = [replace(fit, number=i) for i, fit in enumerate(own)]
                self.found[n].add(number, part, own)
                answers[n] = part, own
            number += 1
        yield from self._outer_fits()

    def _together(self, rounds: Mapping[int, Round]) -> Round:
        """Return one round of all searches, with each split at the same place."""
        candidates: list[dict[str, Any]] = []
        resources: list[int] = []
        pairs: list[tuple[int, int]] = []
        for n, step in rounds.items():
            first = len(candidates)
            candidates += step.candidates
            resources += step.resources
            folds = range(self._starts[n], self._starts[n] + self._problem.inner[n])
            pairs += [(c, f) for c in range(first, len(candidates)) for f in folds]
        splits = None
        if any(step.splits for step in rounds.values()):
            own = [
                (rounds[n].splits if n in rounds else None) or part.splits
                for n, part in enumerate(self._parts)
            ]
            splits = NestedSplits(self._splits.outer, tuple(own))
        return Round(candidates, splits, resources, tuple(pairs))

    def _outer_fits(self) -> Search:
        name = refit_metric(self._problem.scoring, self._refit)
        chosen: list[tuple[int, int, dict[str, float]]] = []
        for number, found in enumerate(self.found):
            table = score_table(found.problem, found.fits, name)[found.last :]
            best = best_candidate(table)
            if best is not None:
                best += found.last
                chosen.append((number, best, _means(found, best)))
        if not chosen:
            return
        candidates = [self.found[n].problem.candidates[best] for n, best, _ in chosen]
        first = sum(self._problem.inner)
        pairs = tuple((i, first + n) for i, (n, _, _) in enumerate(chosen))
        _, fits = yield Round(candidates, pairs=pairs)
        self.outer = [
            OuterFit(*each, parameters, fit)
            for each, parameters, fit in zip(chosen, candidates, fits, strict=True)
        ]

    def summary(self) -> Result:
        """Return the result: scores of the outer folds, and their mean."""
        names = metric_names(self._problem.scoring)
        outer = [each.fit for each in self.outer]
        inner = [fit for found in self.found for fit in found.fits]
        failed = sum(bool(fit.reason) for fit in [*inner, *outer])
        folds = len(self.found)
        values: dict[str, Any] = {
            "outer_folds": folds,
            "folds": max(self._problem.inner),
            "candidates": max(len(each.problem.candidates) for each in self.found),
            "fits": len(inner) + len(outer),
            "failed": failed,
        }
        digest = hashlib.sha256()
        for name in names:
            scores = np.full(folds, np.nan)
            for each in self.outer:
                scores[each.outer] = each.fit.scores.get(name, np.nan)
            label = "score" if name == SINGLE else name
            good = scores[np.isfinite(scores)]
            if len(good):
                values[f"mean_{label}"] = float(good.mean())
                values[f"std_{label}"] = float(good.std())
            values[f"outer_{label}"] = [
                float(score) if np.isfinite(score) else None for score in scores
            ]
            for found in self.found:
                digest.update(score_table(found.problem, found.fits, name).tobytes())
            digest.update(scores.tobytes())
        values["scores_sha256"] = digest.hexdigest()
        notes = [
            f"outer fold {n}: all inner fits have failed"
            for n in sorted(set(range(folds)) - {each.outer for each in self.outer})
        ]
        wrong = failed or notes
        notes += notes_of([*inner, *outer])
        return Result(values, (), notes, TasksFailed.exit_code if wrong else 0)

    def columns(self) -> dict[str, list[Any]]:
        """Return the columns of ``--results``, a value per outer fold."""
        keys = dict.fromkeys(key for each in self.outer for key in each.parameters)
        columns: dict[str, list[Any]] = {
            "outer_fold": [each.outer for each in self.outer],
            "candidate": [each.candidate for each in self.outer],
            "fit_time": [each.fit.fit_seconds for each in self.outer],
        }
        for key in keys:
            values = [each.parameters.get(key, MISSING) for each in self.outer]
            columns[f"param_{key}"] = values
        columns["params"] = [
            json.dumps(each.parameters, default=str) for each in self.outer
        ]
        for name in metric_names(self._problem.scoring):
            means = [each.inner_scores[name] for each in self.outer]
            columns[f"mean_inner_{name}"] = means
            columns[f"outer_{name}"] = [
                each.fit.scores.get(name, float("nan")) for each in self.outer
            ]
        return columns

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the CSV file: one per fit; outer ones have no fold."""
        table = []
        for number, found in enumerate(self.found):
            every = rows(found.problem, found.fits)
            for outer in (each for each in self.outer if each.outer == number):
                own = replace(found.problem, pairs=((outer.candidate, 0),))
                (row,) = rows(own, [replace(outer.fit, number=0)])
                every.append({**row, "fold": ""})
            table += [{"outer_fold": number, **row} for row in every]
        return table


def _means(found: Found, candidate: int) -> dict[str, float]:
    names = metric_names(found.problem.scoring)
    tables = {name: score_table(found.problem, found.fits, name) for name in names}
    return {name: float(table[candidate].mean()) for name, table in tables.items()}
