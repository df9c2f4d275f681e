"""Results of candidates have the names and values of scikit-learn's cv_results_."""

import csv
import json

import numpy as np
import pytest
from pyarrow import parquet
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from mpiapps.model_selection.report import summary
from mpiapps.model_selection.results import ResultsFile, cv_results
from tests.model_selection.test_folds import OWN, TREE
from tests.model_selection.test_problem import IRIS, problem_of

GRIDS = [
    {"max_depth": [None, 1, 3], "criterion": ["gini"]},
    {"max_features": ["sqrt", 2, 0.5]},
]
TRIED = [
    *({"criterion": "gini", "max_depth": depth} for depth in (None, 1, 3)),
    *({"max_features": value} for value in ("sqrt", 2, 0.5)),
]


def searched(scoring, tried=TRIED):
    problem = problem_of(IRIS, TREE, tried, 3, scoring=scoring)
    return problem, [problem.fit(number) for number in range(len(problem))]


def of_scikit_learn(scoring, grid=GRIDS, refit=True):
    names = scoring.split(",")
    search = GridSearchCV(
        DecisionTreeClassifier(random_state=0),
        grid,
        cv=3,
        scoring=names if len(names) > 1 else scoring or None,
        refit=refit,
        error_score=np.nan,
    )
    return search.fit(*IRIS)


@pytest.mark.parametrize("scoring", ["", "f1_macro", "f1_macro,accuracy"])
def test_results_are_those_of_scikit_learn(scoring):
    columns = cv_results(*searched(scoring))
    wanted = of_scikit_learn(scoring, refit=False).cv_results_
    assert columns.keys() == wanted.keys()
    for name, values in columns.items():
        if "_test_" in name:
            assert values == wanted[name].tolist(), name
    assert [json.loads(each) for each in columns["params"]] == wanted["params"]
    assert all(seconds > 0 for seconds in columns["mean_fit_time"])


def test_the_best_is_that_of_the_chosen_score():
    """The first score and the second one choose different candidates."""
    scoring = f"accuracy,{OWN}:shallow"
    tried = [{"max_depth": 3}, {"max_depth": 1, "min_samples_leaf": 9}]
    problem, fits = searched(scoring, tried)
    first = summary(problem, fits).values
    second = summary(problem, fits, "shallow").values
    assert (first["best"], second["best"]) == (0, 1)
    assert first["mean_accuracy"] > second["mean_accuracy"]
    assert first["mean_shallow"] < second["mean_shallow"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_has_each_value(suffix, tmp_path):
    columns = cv_results(*searched("f1_macro,accuracy"))
    path = tmp_path / f"results{suffix}"
    ResultsFile(str(path)).commit(columns)
    wanted = {
        "param_max_depth": ["None", "1", "3", "", "", ""],
        "param_max_features": ["", "", "", "sqrt", "2", "0.5"],
    }
    if suffix == ".csv":
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        content = {name: [row[name] for row in rows] for name in rows[0]}
        scores = [float(value) for value in content["mean_test_accuracy"]]
    else:
        content = parquet.read_table(path).to_pydict()
        scores = content["mean_test_accuracy"]
        wanted["param_max_depth"] = [None, 1, 3, None, None, None]
        wanted["param_max_features"] = [None, None, None, "sqrt", "2", "0.5"]
        assert content["rank_test_accuracy"] == columns["rank_test_accuracy"]
    assert list(content) == list(columns)
    assert scores == columns["mean_test_accuracy"]
    for name, values in wanted.items():
        assert content[name] == values


def test_failed_fits_rank_last():
    tried = [{"max_depth": -1}, {"max_depth": 1}, {"max_depth": -2}]
    columns = cv_results(*searched("", tried))
    assert columns["rank_test_score"] == [2, 1, 2]
    assert np.isnan(columns["mean_test_score"]).tolist() == [True, False, True]
