"""The options of a cross-validation. Imports no NumPy, as the login node lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mpiapps.app import option
from mpiapps.app.picture import PICTURES
from mpiapps.base.errors import InputError
from mpiapps.model_selection.backends import BACKENDS
from mpiapps.model_selection.results import FORMATS
from mpiapps.model_selection.scoring import refit_metric
from mpiapps.model_selection.splitters import SPLITTERS

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
        file="read",
    )  # fmt: skip
    target: str = option(
        "",
        "target column, by name or number, or several with commas, or a .npy file"
        " (default: the last)",
    )
    as_frame: bool = option(
        False, "samples as a data frame of pandas, with column names and text"
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
    outer_folds: int = option(
        0, "nested cross-validation: folds, on the training samples of each of which a"
        " search selects (0: none)", min=0, metavar="N",
    )  # fmt: skip
    repeats: int = option(10, "repetitions of --cv repeated", min=1)
    shuffle: bool = option(False, "shuffle samples before the split, by the seed")
    params: str = option(
        "",
        "TOML file of [fixed] and [search] parameters, and [[columns]]",
        metavar="FILE",
        file="read",
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
        " journal", metavar="FILE", file="written",
    )  # fmt: skip
    curve: str = option(
        "", "score also the training samples: by their number, or by the parameter in"
        " [search]", choices=("", *CURVES),
    )  # fmt: skip
    train_sizes: int = option(
        5, "numbers of training samples of --curve learning", min=1
    )
    plot: str = option(
        "", "draw the curve to FILE, .png, .svg or .pdf", metavar="FILE", file="written"
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
        "", "write the fits to FILE, as CSV", metavar="FILE", short="o", file="written"
    )
    results: str = option(
        "", "write a row per candidate to FILE, .csv or .parquet, with the names of"
        " cv_results_", metavar="FILE", file="written",
    )  # fmt: skip
    save_model: str = option(
        "", "fit the best candidate to all samples and save the model in FILE, by"
        " joblib, or by skops if its name ends in .skops", metavar="FILE",
        file="written",
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
    if options.outer_folds:
        _check_nested(options)
    if options.plot and not (options.curve and Path(options.plot).suffix in PICTURES):
        raise ValueError(
            f"--plot {options.plot}: expected --curve, and a name that ends in"
            f" {', '.join(PICTURES)}"
        )
    try:
        refit_metric(options.scoring, options.refit)
    except InputError as error:
        raise ValueError(error) from error


def _check_nested(options: Options) -> None:
    nested = f"--outer-folds {options.outer_folds}"
    if options.outer_folds == 1:
        raise ValueError(f"{nested}: need at least 2 folds, or 0 for no nesting")
    if options.curve:
        raise ValueError(f"{nested} with --curve {options.curve}: choose one")
    if options.save_model:
        raise ValueError(
            f"{nested} with --save-model: each outer fold selects its own candidate;"
            " save the model of a run without --outer-folds"
        )
    if ":" in options.cv:
        raise ValueError(
            f"{nested} with --cv {options.cv}: name one of {', '.join(SPLITTERS)}, as a"
            " splitter of your own has its own number of folds"
        )
