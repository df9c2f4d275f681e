"""Successive halving and curves have the numbers of scikit-learn."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - its import defines Halving...
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    HalvingGridSearchCV,
    ParameterGrid,
    learning_curve,
    validation_curve,
)
from sklearn.tree import DecisionTreeClassifier

from mpiapps.base.errors import InputError
from mpiapps.model_selection import curves
from mpiapps.model_selection.halving import halving
from mpiapps.model_selection.results import cv_results
from mpiapps.model_selection.rounds import run_rounds
from tests.model_selection.test_folds import TREE
from tests.model_selection.test_problem import IRIS, problem_of

GRID = {"max_depth": [1, 2, 3, None], "min_samples_leaf": [1, 2, 5]}


@contextmanager
def nothing():
    yield


ALONE = SimpleNamespace(agree=nothing, objects=SimpleNamespace(bcast=lambda x: x))


def execute(problem):
    return [problem.fit(number) for number in range(len(problem))]


def of_iris(estimator, candidates, **options):
    return problem_of(IRIS, estimator, candidates, 3, **options)


@pytest.mark.parametrize(
    ("options", "least"),
    [({}, 0), ({"factor": 2}, 0), ({"factor": 2.5}, 0), ({"min_resources": 30}, 30)],
    ids=["default", "factor 2", "factor 2.5", "min 30"],
)
def test_halving_is_that_of_scikit_learn(options, least):
    problem = of_iris(TREE, list(ParameterGrid(GRID)))
    search = halving(problem, factor=options.get("factor", 3), min_samples=least)
    found = run_rounds(ALONE, problem, search, execute)
    wanted = HalvingGridSearchCV(
        DecisionTreeClassifier(random_state=0), GRID, cv=3, random_state=0,
        return_train_score=False, refit=False, **options,
    ).fit(*IRIS)  # fmt: skip
    columns = cv_results(found.problem, found.fits, found.columns)
    assert columns.keys() == wanted.cv_results_.keys()
    for name, expected in wanted.cv_results_.items():
        if name == "params":
            assert found.problem.candidates == list(expected)
        elif not name.endswith("_time"):
            np.testing.assert_array_equal(columns[name], expected, err_msg=name)
    assert found.last == np.flatnonzero(columns["iter"] == np.max(columns["iter"]))[0]


def test_halving_needs_samples_of_each_class_in_each_test_set():
    problem = of_iris(TREE, [{"max_depth": 1}])
    with pytest.raises(InputError, match="needs 151 samples"):
        next(halving(problem, factor=3, min_samples=151))


@pytest.mark.parametrize("sizes", [1, 2, 5])
def test_a_learning_curve_is_that_of_scikit_learn(sizes):
    problem = curves.learning_curve(of_iris(TREE, [{"max_depth": 2}]), sizes)
    columns = cv_results(problem, execute(problem))
    counts, train, test = learning_curve(
        DecisionTreeClassifier(max_depth=2, random_state=0), *IRIS, cv=3, shuffle=True,
        random_state=0, train_sizes=np.linspace(0.1, 1, sizes),
    )  # fmt: skip
    assert problem.resources == counts.tolist()
    for n in range(3):
        np.testing.assert_array_equal(columns[f"split{n}_train_score"], train[:, n])
        np.testing.assert_array_equal(columns[f"split{n}_test_score"], test[:, n])


def test_a_validation_curve_is_that_of_scikit_learn():
    strengths = [1e-3, 1e-2, 0.1]
    tried = [{"C": c} for c in strengths]
    problem = of_iris("sklearn.linear_model:LogisticRegression", tried)
    problem = curves.validation_curve(problem)
    columns = cv_results(problem, execute(problem))
    train, test = validation_curve(
        LogisticRegression(random_state=0), *IRIS, param_name="C",
        param_range=strengths, cv=3,
    )  # fmt: skip
    for n in range(3):
        np.testing.assert_array_equal(columns[f"split{n}_train_score"], train[:, n])
        np.testing.assert_array_equal(columns[f"split{n}_test_score"], test[:, n])


@pytest.mark.parametrize(
    "tried",
    [[{"max_depth": None}, {"max_depth": 2}], [{"max_depth": 1}, {"max_depth": 99}]],
    ids=["labels", "logarithmic"],
)
@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_a_curve_is_drawn(tried, form):
    problem = curves.validation_curve(of_iris(TREE, tried))
    picture = curves.draw(problem, execute(problem), "", form)
    start = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[form]
    assert picture.startswith(start)


@pytest.mark.parametrize(
    "tried",
    [
        [{}],
        [{"max_depth": 1, "splitter": "best"}, {"max_depth": 2, "splitter": "random"}],
    ],
    ids=["none", "two"],
)
def test_a_validation_curve_has_one_parameter(tried):
    with pytest.raises(InputError, match="one list, or interval"):
        curves.validation_curve(of_iris(TREE, tried))


def test_a_learning_curve_has_one_candidate():
    with pytest.raises(InputError, match="2 candidates"):
        curves.learning_curve(of_iris(TREE, [{"max_depth": 1}, {"max_depth": 2}]), 5)


def test_fits_with_different_numbers_of_samples_have_different_keys():
    problem = curves.learning_curve(of_iris(TREE, [{}]), 3)
    assert len({problem.key(n) for n in range(len(problem))}) == 9
