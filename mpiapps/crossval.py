"""Cross-validation and randomised search of any scikit-learn estimator.

A fit is a candidate and a fold; fits are dealt to ranks, to workers of Dask, or to what
joblib has on one host. Scores have the same bits whoever does them. docs/crossval.md
leads here from a loop over samples.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mpiapps.app import Program, Result, checkpoint, main, option
from mpiapps.app.output import WholeFile, as_csv
from mpiapps.base.errors import Stopped
from mpiapps.base.named import named, see_installed

if TYPE_CHECKING:
    from mpiapps.comm.world import World
    from mpiapps.learning.case import Case

BACKENDS = ("mpi", "dask", "loky", "threading", "multiprocessing", "ray")
FOREST = "sklearn.ensemble:RandomForestClassifier"


@dataclass(frozen=True)
class Options:
    """What is fitted to what, and who does it."""

    estimator: str = option(
        FOREST, "a class of scikit-learn's interface", positional=True, several="?",
        metavar="MODULE:CLASS",
    )  # fmt: skip
    data: str = option(
        "classification:200x20",
        "a .npy, .csv or .parquet file; digits, iris, wine, breast_cancer, diabetes",
    )
    target: str = option("", "column to be found: name or number (default: the last)")
    folds: int = option(0, "of cross-validation (0: leave one out)", least=0)
    shuffle: bool = option(False, "deal samples to folds by chance, from the seed")
    params: str = option("", "[fixed] and [search] parameters, TOML", metavar="FILE")
    draws: int = option(20, "candidates of a search", least=1)
    scoring: str = option("", "of scikit-learn (default: the estimator's own)")
    seed: int = option(0, "of estimators, draws, folds", least=0, most=2**32 - 1)
    backend: str = option("mpi", "who does the fits", choices=BACKENDS)
    jobs: int = option(0, "of joblib's backends (0: the processors here)", least=0)
    output: str = option("", "write each fit to FILE, CSV", metavar="FILE", short="o")
    directory: str = option(
        "", "keep here what is done, and go on from it", metavar="FOLDER"
    )
    take_over: bool = option(
        False, "take the directory from a run on another host that has ended"
    )


def check(options: Options) -> None:
    """Raise `ValueError` if the options do not go together. Local."""
    if options.folds == 1:
        raise ValueError("--folds 1 leaves nothing to fit; give 2 or more, or 0")
    if ":" not in options.estimator:
        raise ValueError(f"{options.estimator!r} is no MODULE:CLASS, such as {FOREST}")


def run(world: World, options: Options) -> Result:
    """Do the fits that are not done. Collective."""
    from mpiapps.farming.owner import Owner
    from mpiapps.learning.backends import BACKENDS as DO
    from mpiapps.learning.ledger import Ledger, past
    from mpiapps.learning.report import rows, summary

    with ExitStack() as stack:
        with world.timed("data"):
            case = _case(world, options, stack)
        directory, old, target = _directory(options), [], None
        with world.agree():
            if world.is_root:
                if options.output:
                    target = WholeFile(Path(options.output))
                    stack.callback(target.discard)
                if directory:
                    owner = Path(directory) / "owner"
                    stack.enter_context(Owner(owner, take_over=options.take_over))
                    old = past(directory, case)
        known = world.comm.bcast([fit.number for fit in old])
        left = sorted(set(range(len(case))) - set(known))
        ledger = stack.enter_context(Ledger(directory, case, world.rank))
        with world.timed("fits"):
            DO[options.backend](world, case, left, ledger, options.jobs)
        with world.timed("gather"):
            every = world.objects.gather(ledger.fits)
        fits = sorted(chain(old, *(every or ())), key=lambda fit: fit.number)
        _stop_if_left(world, options, len(case), len(fits))
        result = Result()
        with world.agree():
            if world.is_root:
                result = summary(case, fits)
                if old:
                    note = f"{len(old)} of {len(fits)} fits are from {directory}"
                    result = replace(result, notes=[note, *result.notes])
                if target is not None:
                    target.commit(as_csv(rows(case, fits)))
        code = world.comm.bcast(result.exit_code)
        return replace(result, exit_code=code)


def _case(world: World, options: Options, stack: ExitStack) -> Case:
    """Return the case, with one copy of the samples on each host. Collective."""
    import numpy as np

    from mpiapps.comm.shared import share
    from mpiapps.learning.case import Case, folds_of
    from mpiapps.learning.data import read_data
    from mpiapps.learning.space import candidates, read_space

    case = None
    with world.agree():
        see_installed("sklearn", "learn", "crossval")
        if options.backend == "mpi":  # all load it, beside the root
            named(options.estimator, "Class")
            importlib.import_module("sklearn.metrics")
        if world.is_root:
            x, y = read_data(options.data, options.target, options.seed)
            fixed, search = read_space(options.params) if options.params else ({}, [])
            tried = candidates(fixed, search, options.draws, options.seed)
            case = Case(x, y, np.empty(0), 0, options.estimator, tried,
                        options.scoring, options.seed)  # fmt: skip
            fold = folds_of(case, options.folds, shuffle=options.shuffle)
            case = replace(case, fold=fold, folds=int(fold.max()) + 1)
    arrays = (case.x, case.y, case.fold) if case else (None, None, None)
    shared = [stack.enter_context(share(world, array)).array for array in arrays]
    empty = np.empty(0)
    plain = replace(case, x=empty, y=empty, fold=empty) if case else None
    mine: Case = world.comm.bcast(plain)
    return replace(mine, x=shared[0], y=shared[1], fold=shared[2])


def _directory(options: Options) -> str:
    """Return where fits are recorded: by option, or beside the job's checkpoint."""
    if not options.directory and checkpoint.wanted():
        return str(checkpoint.beside(0)) + ".fits"
    return options.directory


def _stop_if_left(world: World, options: Options, total: int, done: int) -> None:
    """Raise `Stopped` on all ranks if the root knows of less than all. Collective."""
    done = world.comm.bcast(done)
    if done < total:
        checkpoint.leave_word(world, "crossval", options, done / total)
        raise Stopped(
            f"stopped with {total - done} of {total} fits left; the same command goes"
            " on from there"
        )


PROGRAM = Program(
    "crossval", "Cross-validate or search a scikit-learn estimator.", Options, run,
    check,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(main(PROGRAM))
