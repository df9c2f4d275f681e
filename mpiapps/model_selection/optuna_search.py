"""A study of Optuna: candidates from the scores of earlier ones.

Candidates come in batches of a size that does not depend on the number of ranks, each
from a sampler whose seed is that of the run and the number of trials before the batch.
So the trials are the same on any ranks, and after a kill.
"""

from __future__ import annotations

import hashlib
import logging
import pkgutil
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mpiapps.base.errors import InputError
from mpiapps.base.optional import import_optional
from mpiapps.model_selection.problem import CVProblem
from mpiapps.model_selection.report import score_table
from mpiapps.model_selection.rounds import Round, Search
from mpiapps.model_selection.scoring import refit_metric
from mpiapps.model_selection.search_space import Candidate, Interval, SearchSpace

FAILED = "mpiapps:failed"  # attribute of a trial with a failed fit, not of a killed one
SQLITE = (".db", ".sqlite", ".sqlite3")  # other files are journals of Optuna
MAGIC = b"SQLite format 3\0"  # of a database; a new one may be empty
PLAIN = (str, int, float, bool, type(None))  # what Optuna stores as a choice


class StudyOptions(NamedTuple):
    """The extent of a study.

    Attributes
    ----------
    trials : int
        Trials of the study, with those of earlier runs.
    batch : int
        Trials that are fitted at the same time.
    storage : str
        File of the study, SQLite if its name ends in one of `SQLITE`, else a journal;
        empty: in memory.
    """

    trials: int
    batch: int
    storage: str = ""


def optuna_search(
    problem: CVProblem,
    space: tuple[Candidate, list[SearchSpace]],
    options: StudyOptions,
    refit: str = "",
) -> Search:
    """Yield batches of trials of a study, and report their mean scores to it.

    Parameters
    ----------
    problem : CVProblem
    space : (dict, list of dict)
        Parameters of all candidates, and one dict of lists and intervals: see
        `mpiapps.model_selection.search_space.read_space`.
    options : StudyOptions
    refit : str
        The score that is maximised.

    Raises
    ------
    InputError
        If there is not one space, or the file is not such a storage.
    LaunchError
        If Optuna is not installed.
    """
    optuna = import_optional("optuna", "optuna", "--search optuna")
    fixed, spaces = space
    if len(spaces) != 1:
        raise InputError(
            f"--search optuna has {len(spaces)} tables [search] in --params: expected 1"
        )
    logging.getLogger("optuna").setLevel(logging.WARNING)
    distributions = {k: _distribution(optuna, v) for k, v in spaces[0].items()}
    study = _study(optuna, problem, distributions, fixed, options.storage)
    name = refit_metric(problem.scoring, refit)
    for trial in study.get_trials(deepcopy=False):  # of a run that was killed
        if not trial.state.is_finished():
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    ended = [each for each in study.get_trials(deepcopy=False) if _has_ended(each)]
    known = [fixed | _values(spaces[0], each.params) for each in ended]
    for start in range(0, options.trials, options.batch):
        size = min(options.batch, options.trials - start)
        asked: list[Any] = []
        candidates = known[start : start + size]
        for _ in range(size - len(candidates)):
            if not asked:
                seed = np.random.SeedSequence([problem.seed, start + len(candidates)])
                study.sampler = optuna.samplers.TPESampler(
                    seed=int(seed.generate_state(1)[0]), constant_liar=True
                )
            asked.append(study.ask(distributions))
        candidates += [fixed | _values(spaces[0], trial.params) for trial in asked]
        part, fits = yield Round(candidates)
        means = score_table(part, fits, name).mean(axis=1)
        for trial, mean in zip(asked, means[size - len(asked) :], strict=True):
            _report(optuna, study, trial, float(mean))


def _report(optuna: Any, study: Any, trial: Any, mean: float) -> None:
    if np.isfinite(mean):
        study.tell(trial, mean)
        return
    trial.set_user_attr(FAILED, value=True)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _has_ended(trial: Any) -> bool:
    return trial.state.name == "COMPLETE" or FAILED in trial.user_attrs


def _study(
    optuna: Any,
    problem: CVProblem,
    distributions: dict[str, Any],
    fixed: Candidate,
    storage: str,
) -> Any:
    """Return the study of this problem and space in a file, or a new one."""
    content = problem.digest, sorted(map(repr, distributions.items())), repr(fixed)
    digest = hashlib.sha256(repr(content).encode()).hexdigest()[:16]
    try:
        return optuna.create_study(
            storage=_storage(optuna, storage), study_name=f"crossval-{digest}",
            direction="maximize", load_if_exists=True,
        )  # fmt: skip
    except Exception as error:  # its storages raise their own, and those of SQLAlchemy
        raise InputError(
            f"--storage {storage}: {error}; expected a file of Optuna, or a new name"
        ) from error


def _storage(optuna: Any, path: str) -> Any:
    if not path:
        return None
    if Path(path).suffix in SQLITE:
        with suppress(FileNotFoundError), Path(path).open("rb") as file:
            # SQLAlchemy would leave another file open.
            if file.read(len(MAGIC)) not in (b"", MAGIC):
                raise ValueError("it is not a database of SQLite")
        # Optuna never closes the connections of a pool.
        pool = {"poolclass": pkgutil.resolve_name("sqlalchemy.pool:NullPool")}
        url = f"sqlite:///{Path(path).absolute()}"
        return optuna.storages.RDBStorage(url, engine_kwargs=pool)
    backend = optuna.storages.journal
    lock = backend.JournalFileOpenLock(path)  # links are not on all file systems
    return optuna.storages.JournalStorage(backend.JournalFileBackend(path, lock))


def _distribution(optuna: Any, values: Any) -> Any:
    kinds = optuna.distributions
    if isinstance(values, Interval):
        low, high, log = values
        whole = isinstance(low, int) and isinstance(high, int)
        kind = kinds.IntDistribution if whole else kinds.FloatDistribution
        return kind(low, high, log=log)
    return kinds.CategoricalDistribution(list(_choices(values)))


def _choices(values: list[Any]) -> dict[Any, Any]:
    """Return values by what Optuna stores in their place: a text if need be."""
    return {v if isinstance(v, PLAIN) else repr(v): v for v in values}


def _values(space: SearchSpace, stored: dict[str, Any]) -> Candidate:
    """Return parameters from what Optuna stores, in the order of the space."""
    return {
        name: stored[name]
        if isinstance(values, Interval)
        else _choices(values)[stored[name]]
        for name, values in space.items()
    }
