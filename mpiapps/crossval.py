"""Cross-validation and randomised search of any scikit-learn estimator.

A fit is a candidate and a fold; fits are distributed over ranks, Dask workers, or
joblib's workers on one host. Scores have the same bits on any backend. docs/crossval.md
starts from scikit-learn's own `cross_val_score`.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mpiapps.app import Program, Result, main, option
from mpiapps.app.picture import PICTURES
from mpiapps.base.errors import InputError
from mpiapps.base.optional import require, resolve_callable
from mpiapps.model_selection.backends import BACKENDS, executor_of
from mpiapps.model_selection.results import FORMATS
from mpiapps.model_selection.scoring import refit_metric
from mpiapps.model_selection.splitters import SPLITTERS

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.comm.world import World
    from mpiapps.model_selection.problem import CVProblem, Fit
    from mpiapps.model_selection.rounds import Search
    from mpiapps.tasks.task_set import TaskSet

SEARCHES = ("random", "halving", "optuna")
CURVES = ("learning", "validation")
FOREST = "sklearn.ensemble:RandomForestClassifier"


@dataclass(frozen=True)
class Options:
    """The estimator, the data, and the backend."""

    estimator: str = option(
        FOREST, "estimator (default: a random forest)", positional=True, nargs="?",
        metavar="MODULE:CLASS",
    )  # fmt: skip
    data: str = option(
        "classification:200x20",
        ".npy, .npz, .csv or .parquet file; digits, iris, wine, breast_cancer or"
        " diabetes",
    )  # fmt: skip
    target: str = option(
        "",
        "target column, by name or number, or several with commas, or a .npy file"
        " (default: the last)",
    )
    groups: str = option("", "column of groups, or a .npy file", metavar="COLUMN")
    weights: str = option(
        "", "column of sample weights in fits, or a .npy file", metavar="COLUMN"
    )
    cv: str = option(
        "", f"splitter: {', '.join(SPLITTERS)}, or MODULE:NAME (default: stratified"
        " for classifiers, else kfold)", metavar="NAME",
    )  # fmt: skip
    folds: int = option(0, "number of folds (0: leave-one-out, with --cv 5)", min=0)
    repeats: int = option(10, "repetitions of --cv repeated", min=1)
    shuffle: bool = option(False, "shuffle samples before the split, by the seed")
    params: str = option(
        "", "TOML file of [fixed] and [search] parameters", metavar="FILE"
    )
    n_iter: int = option(20, "number of candidates to sample", min=1)
    scoring: str = option(
        "", "scikit-learn scorers, or MODULE:NAME, with commas (default: the"
        " estimator's)", metavar="NAME,...",
    )  # fmt: skip
    refit: str = option(
        "", "score that determines the best candidate (default: the first)",
        metavar="NAME",
    )  # fmt: skip
    search: str = option(
        "random", "how candidates are chosen: all at once; by successive halving; or"
        " by Optuna, from the scores of earlier ones", choices=SEARCHES,
    )  # fmt: skip
    factor: float = option(
        3.0, "growth of samples, and decline of candidates, per round of halving"
    )
    min_samples: int = option(
        0, "samples of the first round of halving (0: so many that the last round has"
        " all)", min=0,
    )  # fmt: skip
    batch: int = option(
        10, "trials of --search optuna that are fitted at the same time", min=1
    )
    storage: str = option(
        "", "file of the study of Optuna: SQLite if its name ends in .db, else a"
        " journal", metavar="FILE",
    )  # fmt: skip
    curve: str = option(
        "", "score also the training samples: by their number, or by the parameter in"
        " [search]", choices=("", *CURVES),
    )  # fmt: skip
    train_sizes: int = option(
        5, "numbers of training samples of --curve learning", min=1
    )
    plot: str = option("", "draw the curve to FILE, .png, .svg or .pdf", metavar="FILE")
    seed: int = option(
        0, "seed of estimators, candidates and folds", min=0, max=2**32 - 1
    )
    backend: str = option("mpi", "executor of the fits", choices=tuple(BACKENDS))
    n_jobs: int = option(
        0, "workers of joblib's backends (0: one per processor of the host)", min=0
    )
    time: int = option(0, "time limit per fit; 0: no limit", type="time", min=0)
    retries: int = option(
        0, "times that a fit that exceeded its time, or crashed, is run again", min=0
    )
    output: str = option(
        "", "write the fits to FILE, as CSV", metavar="FILE", short="o"
    )
    results: str = option(
        "", "write a row per candidate to FILE, .csv or .parquet, with the names of"
        " cv_results_", metavar="FILE",
    )  # fmt: skip
    save_model: str = option(
        "", "fit the best candidate to all samples and save the model in FILE, by"
        " joblib, or by skops if its name ends in .skops", metavar="FILE",
    )  # fmt: skip
    directory: str = option(
        "", "directory of completed fits, to resume from", metavar="DIR"
    )
    force_unlock: bool = option(
        False, "remove the lock of a run that has ended on another host"
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not fit together."""
    if options.folds == 1:
        raise ValueError("--folds 1: need at least 2 folds, or 0 for leave-one-out")
    if ":" not in options.estimator:
        raise ValueError(
            f"{options.estimator!r}: expected MODULE:CLASS, such as {FOREST}"
        )
    if options.cv and ":" not in options.cv and options.cv not in SPLITTERS:
        raise ValueError(
            f"--cv {options.cv}: expected one of {', '.join(SPLITTERS)}, or MODULE:NAME"
        )
    if Path(options.results).suffix not in ("", *FORMATS):
        raise ValueError(
            f"--results {options.results}: expected a name that ends in"
            f" {' or '.join(FORMATS)}"
        )
    if options.factor <= 1:
        raise ValueError(f"--factor {options.factor}: expected more than 1")
    if options.storage and options.search != "optuna":
        raise ValueError(f"--storage {options.storage}: expected --search optuna")
    if options.curve and options.search != "random":
        raise ValueError(
            f"--curve {options.curve} with --search {options.search}: choose one"
        )
    if options.plot and not (options.curve and Path(options.plot).suffix in PICTURES):
        raise ValueError(
            f"--plot {options.plot}: expected --curve, and a name that ends in"
            f" {', '.join(PICTURES)}"
        )
    try:
        refit_metric(options.scoring, options.refit)
    except InputError as error:
        raise ValueError(error) from error


def run(ctx: RunContext, options: Options) -> Result:
    """Compute the fits that are not recorded yet. Collective."""
    from mpiapps.model_selection.fits import FitTasks, all_fits, journal_of
    from mpiapps.model_selection.outputs import Outputs
    from mpiapps.model_selection.rounds import run_rounds
    from mpiapps.tasks.child_process import InChildProcess
    from mpiapps.tasks.engine import run_tasks

    world, outputs = ctx.world, None
    with ExitStack() as stack:
        with world.timed("data"):
            problem = _problem(world, options, stack)
        with world.agree():
            if world.is_root:
                outputs = Outputs(
                    stack, options.output, options.results, options.save_model,
                    options.plot,
                )  # fmt: skip
        directory = ctx.journal_directory(options.directory)
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

        found = run_rounds(
            world,
            problem,
            _search(options, problem) if world.is_root else None,
            execute,
        )
        result = Result()
        with world.timed("results"), world.agree():
            if outputs is not None:
                result = outputs.write(found, options.refit)
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

    from mpiapps.model_selection.curves import learning_curve, validation_curve
    from mpiapps.model_selection.data import read_data
    from mpiapps.model_selection.folds import Splits, make_splits
    from mpiapps.model_selection.problem import CVProblem
    from mpiapps.model_selection.search_space import candidates, read_space

    x, y, groups, weights = read_data(
        options.data, options.target, options.seed, options.groups, options.weights
    )
    fixed, search = read_space(options.params) if options.params else ({}, [])
    tried = candidates(fixed, search, options.n_iter, options.seed)
    none = Splits(np.empty(0, np.int64), np.empty(0, np.int64))
    problem = CVProblem(x, y, none, options.estimator, tried, options.scoring,
                        options.seed, weights)  # fmt: skip
    problem.check()
    splits = make_splits(
        x, y, groups, cv=options.cv, folds=options.folds, repeats=options.repeats,
        shuffle=options.shuffle, seed=options.seed,
        classifier=is_classifier(problem.model(tried[0])),
    )  # fmt: skip
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
