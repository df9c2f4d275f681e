"""Nested cross-validation has the scores of a search within `cross_val_score`."""

from functools import partial

import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - its import defines Halving...
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    StratifiedKFold,
    cross_validate,
)
from sklearn.tree import DecisionTreeClassifier

from mpiapps.crossval import Options, _search, check, read_problem
from mpiapps.model_selection.nested import Nested
from mpiapps.model_selection.rounds import run_rounds
from tests.model_selection.test_problem import IRIS
from tests.model_selection.test_rounds import ALONE, execute

GRID = {"max_depth": [1, 2, 3, None], "min_samples_leaf": [1, 5]}
SPACE = """
[search]
max_depth = [1, 2, 3, {literal = "None"}]
min_samples_leaf = [1, 5]
"""
TREE = "sklearn.tree:DecisionTreeClassifier"


def nested_of(path, run=execute, **options):
    space = path / "space.toml"
    space.write_text(options.pop("space", SPACE))
    every = {"data": "iris", "folds": 3, "outer_folds": 4, "params": str(space)}
    chosen = Options(TREE, **{**every, **options})
    check(chosen)
    problem = read_problem(chosen)
    nested = Nested(problem, partial(_search, chosen), chosen.refit)
    run_rounds(ALONE, problem, nested.search(), run)
    return nested


def outer_of(nested):
    return nested.summary().values["outer_score"]


SPLITTERS = {"": StratifiedKFold, "kfold": KFold}


# Iris is sorted: without a shuffle a training set of KFold would lack a class.
@pytest.mark.parametrize(("cv", "shuffle"), [("", False), ("kfold", True)])
@pytest.mark.parametrize("search", ["random", "halving"])
def test_outer_scores_are_those_of_scikit_learn(search, cv, shuffle, tmp_path):
    nested = nested_of(tmp_path, search=search, cv=cv, shuffle=shuffle)
    state = {"shuffle": True, "random_state": 0} if shuffle else {}
    model, outer = DecisionTreeClassifier(random_state=0), SPLITTERS[cv](4, **state)
    inner = SPLITTERS[cv](3, **state)
    one = (
        HalvingGridSearchCV(model, GRID, cv=inner, random_state=0)
        if search == "halving"
        else GridSearchCV(model, GRID, cv=inner)
    )
    wanted = cross_validate(one, *IRIS, cv=outer, return_estimator=True)
    assert outer_of(nested) == wanted["test_score"].tolist()
    for fit, fitted in zip(nested.outer, wanted["estimator"], strict=True):
        assert fit.parameters == fitted.best_params_
        assert fit.inner_scores["score"] == fitted.best_score_
    values = nested.summary().values
    assert values["mean_score"] == wanted["test_score"].mean()
    assert values["outer_folds"] == 4
    assert values["fits"] == 4 + sum(len(each.fits) for each in nested.found)


def test_groups_are_whole_in_both_splits(tmp_path):
    groups = np.arange(150) % 12
    np.save(tmp_path / "g.npy", groups)
    nested = nested_of(tmp_path, cv="group", groups=str(tmp_path / "g.npy"))
    problem = nested._problem
    for number in range(len(problem.splits)):
        train, test = problem.splits[number]
        assert not set(groups[train]) & set(groups[test])
    first_outer = sum(problem.inner)
    for number, (train, test) in enumerate(
        problem.splits[n] for n in range(first_outer)
    ):
        unseen = problem.splits[first_outer + number // 3][1]
        assert not set(unseen) & {*train, *test}


def test_several_scores_and_the_one_that_selects(tmp_path):
    nested = nested_of(tmp_path, scoring="accuracy,f1_macro", refit="f1_macro")
    values = nested.summary().values
    for name in ("accuracy", "f1_macro"):
        assert values[f"mean_{name}"] == np.mean(values[f"outer_{name}"])
    columns = nested.columns()
    assert columns["outer_f1_macro"] == values["outer_f1_macro"]
    assert len(columns["params"]) == len(columns["param_max_depth"]) == 4


def test_a_study_of_optuna_on_each_fold(tmp_path):
    options = {"search": "optuna", "n_iter": 6, "batch": 3, "seed": 2}
    plain = nested_of(tmp_path, **options)
    stored = {**options, "storage": str(tmp_path / "study.log")}
    first = nested_of(tmp_path, **{**stored, "n_iter": 3})
    again = nested_of(tmp_path, **stored)
    assert len(first.found[0].fits) == 9
    assert outer_of(again) == outer_of(plain)
    assert [each.parameters for each in again.outer] == [
        each.parameters for each in plain.outer
    ]


@pytest.mark.parametrize("search", ["random", "halving", "optuna"])
def test_each_fit_has_its_own_identity(search, tmp_path):
    """Journals recognise fits by them: an equal one would replace another's score."""
    keys = []

    def run(problem):
        keys.extend(problem.key(n) for n in range(len(problem)))
        return execute(problem)

    nested = nested_of(tmp_path, run, search=search, n_iter=12)
    fits = nested.summary().values["fits"]
    assert len(keys) == fits
    if search != "optuna":  # a sampler may repeat a candidate
        assert len(set(keys)) == fits


def test_failed_searches_and_fits_are_reported(tmp_path):
    space = "[search]\nmax_depth = [1, -1]\n"
    nested = nested_of(tmp_path, space=space)
    result = nested.summary()
    assert result.exit_code == 3
    assert result.values["failed"] == 12
    assert all(each.parameters == {"max_depth": 1} for each in nested.outer)
    nested = nested_of(tmp_path, space="[fixed]\nmax_depth = -1\n")
    result = nested.summary()
    assert result.exit_code == 3
    assert result.values["outer_score"] == [None] * 4
    assert "mean_score" not in result.values
    assert "outer fold 3: all inner fits have failed" in result.notes
    assert nested.columns()["outer_fold"] == []
    assert len(nested.rows()) == 12


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"outer_folds": 1}, "--outer-folds 1: need at least 2"),
        ({"curve": "learning"}, "with --curve learning: choose one"),
        ({"save_model": "m"}, "each outer fold selects its own candidate"),
        ({"cv": "tests.model_selection.own:pairs"}, "own number of folds"),
    ],
)
def test_what_cannot_be_nested_is_refused_with_the_reason(options, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        nested_of(tmp_path, **options)
