"""Files of a search on ranks: those of scikit-learn on one process."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier

from mpiapps.model_selection.saved_model import load_model
from tests.commands import on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")

IRIS = load_iris(return_X_y=True)
SPACE = "[search]\nmax_depth = [1, 2, 3]\n"
GRID = {"max_depth": [1, 2, 3]}


def crossval(size, path, *args):
    (path / "space.toml").write_text(SPACE)
    command = ["-m", "mpiapps.crossval", "sklearn.tree:DecisionTreeClassifier"]
    params = ["--data", "iris", "--params", str(path / "space.toml"), "--json", "-"]
    return on_ranks("openmpi", size, *command, *params, *args)


def test_the_model_of_ranks_is_that_of_scikit_learn(tmp_path):
    model, directory = tmp_path / "model.joblib", str(tmp_path / "run")
    args = ("--folds", "4", "--save-model", str(model), "--directory", directory)
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), GRID, cv=4)
    expected = search.fit(*IRIS).predict_proba(IRIS[0])
    best = search.best_params_["max_depth"]
    for size in (3, 1):  # the second run has all fits from the first
        done = crossval(size, tmp_path, *args)
        assert done.code == 0, done.err
        assert np.array_equal(load_model(str(model)).predict_proba(IRIS[0]), expected)
        assert json.loads(done.out)["values"]["best_max_depth"] == best
        model.unlink()


def test_an_unwritable_model_is_reported_once_before_the_fits(tmp_path):
    args = ("--folds", "4", "--save-model", str(tmp_path / "no" / "model"))
    done = crossval(2, tmp_path, *args)
    assert done.code == 74
    assert done.err.count("cannot write") == 1
