"""Scores are those of scikit-learn's own functions, bit for bit."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import is_classifier
from sklearn.datasets import load_diabetes, load_iris, make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, RandomizedSearchCV, cross_val_score

from mpiapps.app.output import as_csv
from mpiapps.base.errors import (
    InputError,
    KeyboardInterruptSignal,
    LaunchError,
    Terminated,
    UsageError,
)
from mpiapps.dask_cluster.memory_check import check_worker_memory
from mpiapps.model_selection.folds import Splits, make_splits
from mpiapps.model_selection.problem import CVProblem, Fit
from mpiapps.model_selection.report import rows, summary
from mpiapps.model_selection.search_space import candidates

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
FOREST = "sklearn.ensemble:RandomForestClassifier"
RIDGE = "sklearn.linear_model:Ridge"


def problem_of(
    data, estimator, tried, folds, *, scoring="", seed=0, shuffle=False, cv="",
    repeats=1, groups=None, weights=None,
):  # fmt: skip
    x, y = data
    none = Splits(np.empty(0, np.int64), np.empty(0, np.int64))
    problem = CVProblem(x, y, none, estimator, tried, scoring, seed, weights)
    problem.check()
    splits = make_splits(
        x, y, groups, cv=cv, folds=folds, repeats=repeats, shuffle=shuffle, seed=seed,
        classifier=is_classifier(problem.model(tried[0])),
    )  # fmt: skip
    problem = replace(problem, splits=splits)
    problem.check_defined()
    return problem


def fit_of(number, score, reason=""):
    return Fit(number, {} if score is None else {"score": score}, 1.0, 0.0, reason)


def scores(problem):
    return [problem.fit(n).scores["score"] for n in range(len(problem))]


def test_assign_folds_a_classifier_are_stratified():
    problem = problem_of(IRIS, FOREST, [{"n_estimators": 5}], 5, seed=3)
    model = RandomForestClassifier(n_estimators=5, random_state=3)
    assert scores(problem) == cross_val_score(model, *IRIS, cv=5).tolist()


def test_assign_folds_a_regressor_and_another_score():
    problem = problem_of(DIABETES, RIDGE, [{}], 4, scoring="neg_mean_absolute_error")
    wanted = cross_val_score(Ridge(), *DIABETES, cv=4, scoring=problem.scoring)
    assert scores(problem) == wanted.tolist()


def test_leave_one_out():
    subset = IRIS[0][::10], IRIS[1][::10]
    problem = problem_of(subset, FOREST, [{"n_estimators": 3}], 0)
    model = RandomForestClassifier(n_estimators=3, random_state=0)
    assert scores(problem) == cross_val_score(model, *subset, cv=LeaveOneOut()).tolist()


def test_a_search_equals_that_of_scikit_learn():
    from scipy import stats

    space = {"max_depth": stats.randint(1, 6), "criterion": ["gini", "entropy"]}
    tried = candidates({"n_estimators": 4}, [space], 6, 11)
    problem = problem_of(IRIS, FOREST, tried, 3, seed=11)
    model = RandomForestClassifier(n_estimators=4, random_state=11)
    wanted = RandomizedSearchCV(model, space, n_iter=6, cv=3, random_state=11)
    wanted.fit(*IRIS)
    means = np.array(scores(problem)).reshape(6, 3).mean(axis=1)
    assert means.tolist() == wanted.cv_results_["mean_test_score"].tolist()
    assert tried[wanted.best_index_]["max_depth"] == wanted.best_params_["max_depth"]


def test_a_failed_fit_has_a_reason():
    problem = problem_of(IRIS, FOREST, [{"n_estimators": -1}, {"n_estimators": 2}], 3)
    bad, good = problem.fit(0), problem.fit(3)
    assert bad.scores == {}
    assert "n_estimators" in bad.reason
    assert good.reason == ""


class Unprintable(Exception):
    """An error whose text raises."""

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unprintable(), "Unprintable"),
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (StopIteration(), "StopIteration"),
        (GeneratorExit(), "GeneratorExit"),
    ],
)
@pytest.mark.parametrize("at", ["fit", "score"])
def test_any_exception_fails_only_its_fit(error, reason, at, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(Ridge, at, fail)
    problem = problem_of(DIABETES, RIDGE, [{}], 3)
    fit = problem.fit(1)
    assert (fit.scores, fit.reason) == ({}, reason)


@pytest.mark.parametrize("error", [Terminated(143), KeyboardInterruptSignal()])
def test_a_signal_ends_the_run_not_only_the_fit(error, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(Ridge, "fit", fail)
    problem = problem_of(DIABETES, RIDGE, [{}], 3)
    with pytest.raises(type(error)):
        problem.fit(1)


@pytest.mark.parametrize(
    ("value", "json_value"),
    [
        ({0: 1}, {0: 1}),
        (None, None),
        ({1}, "{1}"),
        ([float("inf")], "[inf]"),
        (float("nan"), "nan"),
    ],
)
def test_the_best_parameters_are_json_values(value, json_value):
    problem = replace(
        problem_of(DIABETES, RIDGE, [{}], 3), candidates=[{"alpha": value}]
    )
    fits = [fit_of(number, 1.0) for number in range(3)]
    assert summary(problem, fits).values["best_alpha"] == json_value


def test_a_score_that_is_not_finite_is_a_failure():
    subset = IRIS[0][40:60], IRIS[1][40:60]
    fit = problem_of(subset, FOREST, [{"n_estimators": 2}], 0, scoring="roc_auc").fit(0)
    assert fit.scores == {}
    assert "nan" in fit.reason


@pytest.mark.parametrize(("folds", "scoring"), [(0, ""), (0, "r2"), (20, "")])
def test_a_score_undefined_for_one_sample_is_rejected(folds, scoring):
    subset = DIABETES[0][:20], DIABETES[1][:20]
    with pytest.raises(InputError, match="two samples or more"):
        problem_of(subset, RIDGE, [{}], folds, scoring=scoring)
    assert len(problem_of(subset, RIDGE, [{}], 10)) == 10
    assert (
        len(problem_of(subset, RIDGE, [{}], 0, scoring="neg_mean_squared_error")) == 20
    )


def test_threads_do_not_change_scores():
    """Fits by liblinear draw from one generator of the process."""
    x, y = make_classification(1000, 20, flip_y=0.3, random_state=0)
    tried = [{"C": 10.0, "dual": True, "max_iter": 30}]
    problem = problem_of((x, y), "sklearn.svm:LinearSVC", tried, 4, scoring="roc_auc")
    with ThreadPoolExecutor(4) as pool:
        beside = [fit.scores["score"] for fit in pool.map(problem.fit, range(4))]
    assert beside == scores(problem)


@pytest.mark.parametrize(
    "name", ["collections:Counter", "sklearn.multiclass:OneVsRestClassifier"]
)
def test_an_invalid_estimator_is_rejected(name):
    with pytest.raises(InputError, match=f"{name}: .* name an estimator"):
        problem_of(IRIS, name, [{}], 3)


def test_warnings_are_kept():
    tried = [{"max_iter": 1}]
    fit = problem_of(IRIS, "sklearn.linear_model:LogisticRegression", tried, 3).fit(0)
    assert "converge" in fit.warned


def test_too_many_folds_are_rejected():
    with pytest.raises(InputError, match="--folds 100"):
        problem_of(IRIS, FOREST, [{}], 100)


def test_a_missing_estimator_is_rejected():
    with pytest.raises(UsageError, match="no_such"):
        problem_of(IRIS, "sklearn.no_such:Thing", [{}], 3)


def test_another_problem_has_another_digest():
    one = problem_of(IRIS, FOREST, [{}], 3)
    other = Splits(one.splits.indices[::-1].copy(), one.splits.ends)
    others = [replace(one, seed=1), replace(one, scoring="accuracy"),
              replace(one, x=one.x + 1e-9), replace(one, splits=other),
              replace(one, estimator=RIDGE)]  # fmt: skip
    assert len({one.digest, *(other.digest for other in others)}) == 6
    assert replace(one, candidates=[{"max_depth": 1}]).digest == one.digest


def test_failed_fits_do_not_hide_the_others():
    problem = problem_of(IRIS, FOREST, [{"max_depth": 1}, {"max_depth": 2}], 3)
    some = [fit_of(0, 0.5), fit_of(1, 0.5), fit_of(2, 0.5),
            fit_of(3, 0.9), fit_of(4, None, "no"), fit_of(5, 0.7)]  # fmt: skip
    found = summary(problem, some)
    assert found.exit_code == 3
    assert found.values["best"] == 0  # all of its fits are there
    some[2] = fit_of(2, None, "no")
    found = summary(problem, some)
    assert (found.values["best"], found.values["mean_score"]) == (1, 0.8)
    assert "the best candidate has scores of 2 of 3 folds" in found.notes
    assert summary(problem, [fit_of(i, None, "no") for i in range(6)]).exit_code == 3


def test_rows_have_all_digits():
    problem = problem_of(IRIS, FOREST, [{"ccp_alpha": 1 / 3}], 3)
    [row, *_] = rows(problem, [fit_of(0, 2 / 3)])
    assert (float(row["score"]), float(row["ccp_alpha"])) == (2 / 3, 1 / 3)
    assert repr(2 / 3) in as_csv([row])


def test_workers_without_memory_for_the_samples_are_rejected():
    check_worker_memory(2**28, 0, [2**31, 2**30])
    check_worker_memory(2**28, 2**28, [0, 2**28 + 2**27 + 2**28])
    with pytest.raises(LaunchError, match=r"256 MiB.*--backend mpi"):
        check_worker_memory(2**28, 0, [2**31, 2**29])
    with pytest.raises(LaunchError, match=r"but one has 256 MiB"):
        check_worker_memory(2**28, 2**28, [2**31, 2**29])


TWO = DIABETES[0], np.column_stack([DIABETES[1], np.sqrt(DIABETES[1])])


def test_several_targets_are_fitted_as_by_scikit_learn():
    problem = problem_of(TWO, RIDGE, [{}], 4)
    assert scores(problem) == cross_val_score(Ridge(), *TWO, cv=4).tolist()


@pytest.mark.parametrize(
    ("scoring", "wrong"),
    [("neg_max_error", "neg_max"), ("r2,neg_mean_gamma_deviance", "neg_mean_gamma")],
)
def test_scores_of_one_target_are_rejected_for_several(scoring, wrong):
    with pytest.raises(
        InputError, match=f"2 targets, and the score {wrong}.*needs one"
    ):
        problem_of(TWO, RIDGE, [{}], 4, scoring=scoring)
    problem_of(DIABETES, RIDGE, [{}], 4, scoring=scoring)


def test_several_targets_of_classes():
    labels = np.column_stack([IRIS[1] > 0, IRIS[1] > 1])
    problem = problem_of((IRIS[0], labels), FOREST, [{"n_estimators": 3}], 3)
    model = RandomForestClassifier(n_estimators=3, random_state=0)
    assert scores(problem) == cross_val_score(model, IRIS[0], labels, cv=3).tolist()
    classes = np.column_stack([IRIS[1], IRIS[1]])
    with pytest.raises(InputError, match="2 targets, and the score accuracy needs one"):
        problem_of((IRIS[0], classes), FOREST, [{}], 3)


def test_rows_of_alternative_spaces_have_the_same_columns():
    problem = problem_of(DIABETES, RIDGE, [{"alpha": 1.0}, {"tol": 0.1}], 2)
    text = as_csv(rows(problem, [fit_of(n, 0.5) for n in range(4)]))
    header, first, *_, last = text.splitlines()
    assert header.startswith("candidate,fold,alpha,tol,score")
    assert first.startswith("0,0,1.0,,0.5")
    assert last.startswith("1,1,,0.1,0.5")
