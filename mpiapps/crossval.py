"""Cross-validation and randomised search of any scikit-learn estimator.

A fit is a candidate and a fold; fits are distributed over ranks, Dask workers, or
joblib's workers on one host. Scores have the same bits on any backend. docs/crossval.md
starts from scikit-learn's own `cross_val_score`.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mpiapps.app import Program, Result, main
from mpiapps.base.optional import require, resolve_callable
from mpiapps.model_selection.backends import executor_of
from mpiapps.model_selection.options import Options, check
from mpiapps.model_selection.splitters import OUTER

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.comm.world import World
    from mpiapps.model_selection.problem import CVProblem, Fit
    from mpiapps.model_selection.rounds import Search
    from mpiapps.tasks.task_set import TaskSet


def run(ctx: RunContext, options: Options) -> Result:
    """Compute the fits that are not recorded yet. Collective."""
    from mpiapps.model_selection.fits import FitTasks, all_fits, journal_of
    from mpiapps.model_selection.nested import Nested
    from mpiapps.model_selection.outputs import Outputs
    from mpiapps.model_selection.rounds import run_rounds
    from mpiapps.tasks.child_process import InChildProcess
    from mpiapps.tasks.engine import run_tasks

    world, outputs = ctx.world, None
    directory = ctx.journal_directory(
        options.directory, force_unlock=options.force_unlock
    )
    with ExitStack() as stack:
        with world.timed("data"):
            problem = _problem(world, options, stack)
        with world.agree():
            if world.is_root:
                outputs = Outputs(
                    stack, options.output, options.results, options.save_model,
                    options.plot,
                )  # fmt: skip
        journal = journal_of(problem, directory, force_unlock=options.force_unlock)
        resumed = 0

        def execute(part: CVProblem) -> list[Fit]:
            nonlocal resumed
            tasks: TaskSet = FitTasks(part, options.n_jobs)
            if options.time or options.retries:
                tasks = InChildProcess(tasks, options.time, options.retries)
            results = run_tasks(ctx, tasks, executor_of(options.backend), journal)
            results.stop_if_remaining(ctx, "fits")
            resumed += results.resumed
            return all_fits(results)

        search, nested = None, None
        with world.agree():
            if world.is_root and problem.inner:
                nested = Nested(problem, partial(_search, options), options.refit)
                search = nested.search()
            elif world.is_root:
                search = _search(options, problem)
        found = run_rounds(world, problem, search, execute)
        result = Result()
        with world.timed("results"), world.agree():
            if outputs is not None:
                result = (
                    outputs.write_nested(nested)
                    if nested is not None
                    else outputs.write(found, options.refit)
                )
                if resumed:
                    note = f"{resumed} of {len(found.fits)} fits are from {directory}"
                    result = replace(result, notes=[note, *result.notes])
        code = world.comm.bcast(result.exit_code)
        return replace(result, exit_code=code)


def _search(options: Options, problem: CVProblem) -> Search:
    """Return the rounds of fits. Root only."""
    from mpiapps.model_selection.halving import halving
    from mpiapps.model_selection.rounds import one_round
    from mpiapps.model_selection.search_space import read_space

    if options.search == "halving":
        return halving(
            problem, factor=options.factor, min_samples=options.min_samples,
            refit=options.refit,
        )  # fmt: skip
    if options.search == "optuna":
        from mpiapps.model_selection.optuna_search import StudyOptions, optuna_search

        space = read_space(options.params) if options.params else ({}, [])
        study = StudyOptions(options.n_iter, options.batch, options.storage)
        return optuna_search(problem, space, study, options.refit)
    return one_round(problem)


def _problem(world: World, options: Options, stack: ExitStack) -> CVProblem:
    """Return the problem, with one copy of the samples per host. Collective."""
    from mpiapps.comm.shared import share_object

    problem = None
    with world.agree():
        require("sklearn", "learn", "crossval")
        if options.backend == "mpi":  # imported on all ranks at the same time
            resolve_callable(options.estimator, "Class")
            importlib.import_module("sklearn.metrics")
        if world.is_root:
            problem = read_problem(options)
    shared: CVProblem = stack.enter_context(share_object(world, problem))
    return shared


def read_problem(options: Options) -> CVProblem:
    """Return the problem of the options. Root only."""
    import numpy as np
    from sklearn.base import is_classifier

    from mpiapps.model_selection.columns import select_columns
    from mpiapps.model_selection.curves import learning_curve, validation_curve
    from mpiapps.model_selection.data import read_data
    from mpiapps.model_selection.folds import Splits, make_splits
    from mpiapps.model_selection.frames import take
    from mpiapps.model_selection.nested import nest
    from mpiapps.model_selection.problem import CVProblem
    from mpiapps.model_selection.search_space import (
        candidates,
        read_columns,
        read_space,
    )

    fixed, search = read_space(options.params) if options.params else ({}, [])
    columns = read_columns(options.params) if options.params else ()
    x, y, groups, weights = read_data(
        options.data, options.target, options.seed, options.groups, options.weights,
        frame=options.as_frame or bool(columns),
    )  # fmt: skip
    if columns:
        columns = select_columns(columns, x, options.params)
    tried = candidates(fixed, search, options.n_iter, options.seed)
    none = Splits(np.empty(0, np.int64), np.empty(0, np.int64))
    problem = CVProblem(x, y, none, options.estimator, tried, options.scoring,
                        options.seed, weights, columns=columns)  # fmt: skip
    problem.check()
    split = partial(
        make_splits, repeats=options.repeats, shuffle=options.shuffle,
        seed=options.seed, classifier=is_classifier(problem.model(tried[0])),
    )  # fmt: skip
    if options.outer_folds:
        name = OUTER.get(options.cv, options.cv)
        outer = split(x, y, groups, cv=name, folds=options.outer_folds)
        trains = [outer[n][0] for n in range(len(outer))]
        inner = [
            split(
                take(x, train), y[train], None if groups is None else groups[train],
                cv=options.cv, folds=options.folds,
            )
            for train in trains
        ]  # fmt: skip
        problem = nest(problem, outer, inner)
    else:
        splits = split(x, y, groups, cv=options.cv, folds=options.folds)
        problem = replace(problem, splits=splits)
    problem.check_defined()
    if options.curve == "learning":
        return learning_curve(problem, options.train_sizes)
    return validation_curve(problem) if options.curve else problem


PROGRAM = Program(
    "crossval", "Cross-validate or search a scikit-learn estimator.", Options, run,
    check,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
