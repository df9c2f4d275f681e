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
from typing import TYPE_CHECKING

from mpiapps.app import Program, Result, main, option
from mpiapps.base.optional import require, resolve_callable
from mpiapps.model_selection.backends import BACKENDS, executor_of

if TYPE_CHECKING:
    from mpiapps.app.context import RunContext
    from mpiapps.comm.world import World
    from mpiapps.model_selection.problem import CVProblem
    from mpiapps.tasks.task_set import TaskSet

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
        ".npy, .csv or .parquet file; digits, iris, wine, breast_cancer or diabetes",
    )
    target: str = option("", "target column, by name or number (default: the last)")
    folds: int = option(0, "number of folds (0: leave-one-out)", min=0)
    shuffle: bool = option(False, "shuffle samples before the split, by the seed")
    params: str = option(
        "", "TOML file of [fixed] and [search] parameters", metavar="FILE"
    )
    n_iter: int = option(20, "number of candidates to sample", min=1)
    scoring: str = option(
        "", "name of a scikit-learn scorer (default: the estimator's)"
    )
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


def run(ctx: RunContext, options: Options) -> Result:
    """Compute the fits that are not recorded yet. Collective."""
    from mpiapps.model_selection.fits import FitTasks, all_fits, journal_of
    from mpiapps.model_selection.outputs import Outputs
    from mpiapps.tasks.child_process import InChildProcess
    from mpiapps.tasks.engine import run_tasks

    world, outputs = ctx.world, None
    with ExitStack() as stack:
        with world.timed("data"):
            problem = _problem(world, options, stack)
        with world.agree():
            if world.is_root:
                outputs = Outputs(stack, options.output, options.save_model)
        directory = ctx.journal_directory(options.directory)
        journal = journal_of(problem, directory, force_unlock=options.force_unlock)
        tasks: TaskSet = FitTasks(problem, options.n_jobs)
        if options.time or options.retries:
            tasks = InChildProcess(tasks, options.time, options.retries)
        results = run_tasks(ctx, tasks, executor_of(options.backend), journal)
        results.stop_if_remaining(ctx, "fits")
        result = Result()
        with world.timed("results"), world.agree():
            if outputs is not None:
                fits = all_fits(results)
                result = outputs.write(problem, fits)
                if results.resumed:
                    note = f"{results.resumed} of {len(fits)} fits are from {directory}"
                    result = replace(result, notes=[note, *result.notes])
        code = world.comm.bcast(result.exit_code)
        return replace(result, exit_code=code)


def _problem(world: World, options: Options, stack: ExitStack) -> CVProblem:
    """Return the problem, with one copy of the samples per host. Collective."""
    import numpy as np

    from mpiapps.comm.shared import share
    from mpiapps.model_selection.data import read_data
    from mpiapps.model_selection.problem import CVProblem, assign_folds
    from mpiapps.model_selection.search_space import candidates, read_space

    problem = None
    with world.agree():
        require("sklearn", "learn", "crossval")
        if options.backend == "mpi":  # imported on all ranks at the same time
            resolve_callable(options.estimator, "Class")
            importlib.import_module("sklearn.metrics")
        if world.is_root:
            x, y = read_data(options.data, options.target, options.seed)
            fixed, search = read_space(options.params) if options.params else ({}, [])
            tried = candidates(fixed, search, options.n_iter, options.seed)
            problem = CVProblem(x, y, np.empty(0), 0, options.estimator, tried,
                        options.scoring, options.seed)  # fmt: skip
            fold = assign_folds(problem, options.folds, shuffle=options.shuffle)
            problem = replace(problem, fold=fold, folds=int(fold.max()) + 1)
    arrays = (problem.x, problem.y, problem.fold) if problem else (None, None, None)
    shared = [stack.enter_context(share(world, array)).array for array in arrays]
    empty = np.empty(0)
    plain = replace(problem, x=empty, y=empty, fold=empty) if problem else None
    received: CVProblem = world.comm.bcast(plain)
    return replace(received, x=shared[0], y=shared[1], fold=shared[2])


PROGRAM = Program(
    "crossval", "Cross-validate or search a scikit-learn estimator.", Options, run,
    check,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
