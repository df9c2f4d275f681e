"""`MPIGridSearchCV` and `MPIRandomizedSearchCV` on ranks, against scikit-learn's."""

import pickle
from contextlib import nullcontext

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.stats import loguniform, randint
from sklearn.base import clone, is_classifier
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - its import defines Halving...
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import check_estimator

from mpiapps.launch.mpi import MPI
from mpiapps.model_selection.mpi_search import (
    MPIGridSearchCV,
    MPIHalvingGridSearchCV,
    MPIHalvingRandomSearchCV,
    MPIRandomizedSearchCV,
)

pytestmark = pytest.mark.mpi
X, Y = load_iris(return_X_y=True)
GRID = {"max_depth": [1, 2, 3], "min_samples_leaf": [1, 5]}
TREE = DecisionTreeClassifier(random_state=0)


def same_results(found, expected):
    """Compare all of `cv_results_` but the times."""
    assert list(found) == list(expected)
    for name in expected:
        if not name.endswith("_time"):
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cv": 3, "return_train_score": True},
        {"scoring": ["accuracy", "f1_macro"], "refit": "f1_macro"},
        {"scoring": ["accuracy", "f1_macro"], "refit": False},
        {
            "refit": lambda results: int(results["rank_test_score"].argmax()),
        },
    ],
    ids=["default", "train scores", "two scores", "no refit", "own refit"],
)
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_grid_has_the_results_of_scikit_learn_on_each_rank(world, options, n_jobs):
    expected = GridSearchCV(TREE, GRID, **options).fit(X, Y)
    found = MPIGridSearchCV(TREE, GRID, n_jobs=n_jobs, **options, comm=world)
    assert found.fit(X, Y) is found
    same_results(found.cv_results_, expected.cv_results_)
    fitted = {name for name in vars(expected) if name.endswith("_")}
    assert fitted <= vars(found).keys()
    if options.get("refit", True):
        assert found.best_index_ == expected.best_index_
        assert found.best_params_ == expected.best_params_
        if not callable(options.get("refit")):
            assert found.best_score_ == expected.best_score_
        np.testing.assert_array_equal(found.predict(X), expected.predict(X))
        assert found.score(X, Y) == expected.score(X, Y)


def test_random_candidates_are_those_of_scikit_learn(world):
    model = make_pipeline(StandardScaler(), SVC())
    space = {"svc__C": loguniform(0.1, 100), "svc__kernel": ["linear", "rbf"]}
    options = {"n_iter": 7, "random_state": 3}
    expected = RandomizedSearchCV(model, space, **options).fit(X, Y)
    found = MPIRandomizedSearchCV(model, space, **options, comm=world.comm).fit(X, Y)
    same_results(found.cv_results_, expected.cv_results_)
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))


@pytest.mark.parametrize(
    ("found", "expected", "space"),
    [
        (MPIHalvingGridSearchCV, HalvingGridSearchCV, GRID),
        (
            MPIHalvingRandomSearchCV,
            HalvingRandomSearchCV,
            {"max_depth": randint(1, 20)},
        ),
    ],
)
def test_halving_is_that_of_scikit_learn(world, found, expected, space):
    options = {"cv": 3, "random_state": 0}
    wanted = expected(TREE, space, **options).fit(X, Y)
    search = found(TREE, space, **options, comm=world).fit(X, Y)
    same_results(search.cv_results_, wanted.cv_results_)
    assert search.best_params_ == wanted.best_params_
    assert search.n_resources_ == wanted.n_resources_
    np.testing.assert_array_equal(search.predict(X), wanted.predict(X))


def test_data_and_parameters_of_rank_0_count(world):
    groups = np.arange(len(Y)) % 5
    data = (X, Y) if world.is_root else (None, None)
    options = {"cv": GroupKFold(5)}
    found = MPIGridSearchCV(TREE, GRID, **options, comm=world)
    found.fit(*data, groups=groups if world.is_root else None)
    expected = GridSearchCV(TREE, GRID, **options).fit(X, Y, groups=groups)
    same_results(found.cv_results_, expected.cv_results_)


def test_sparse_data_of_any_format(world):
    data = coo_array(X * (X > 1))
    expected = GridSearchCV(TREE, GRID).fit(data, Y)
    found = MPIGridSearchCV(TREE, GRID, comm=world).fit(data, Y)
    same_results(found.cv_results_, expected.cv_results_)


class RankOfFit(DecisionTreeClassifier):
    """A tree whose score is the rank that has fitted it."""

    def fit(self, x, y):
        self.rank_ = MPI.COMM_WORLD.rank
        return super().fit(x, y)

    def score(self, *_):
        return float(self.rank_)


def test_fits_run_on_the_other_ranks(world):
    found = MPIGridSearchCV(RankOfFit(), GRID, cv=10, comm=world).fit(X, Y)
    splits = [found.cv_results_[f"split{n}_test_score"] for n in range(10)]
    ranks = {int(rank) for split in splits for rank in split}
    workers = set(range(1, world.size)) if world.size > 2 else {0}
    assert ranks <= workers
    assert ranks


class Failing(DecisionTreeClassifier):
    """A tree that cannot be fitted with one depth."""

    def fit(self, x, y):
        if self.max_depth == 2:
            raise KeyError("depth")
        return super().fit(x, y)


@pytest.mark.filterwarnings("ignore:One or more of the test scores")
def test_an_error_is_raised_on_all_ranks_and_the_next_search_works(world):
    failing = MPIGridSearchCV(Failing(), GRID, error_score="raise", comm=world)
    with pytest.raises(KeyError, match="depth"):
        failing.fit(X, Y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        failing.fit(X, Y[:-1])
    scored = MPIGridSearchCV(Failing(), GRID, comm=world)
    with pytest.warns(match="fits failed") if world.is_root else nullcontext():
        scored.fit(X, Y)
    assert np.isnan(scored.cv_results_["mean_test_score"]).sum() == 2
    assert scored.best_params_["max_depth"] == 3


def test_a_search_is_cloned_and_pickled_as_an_estimator(world):
    search = MPIGridSearchCV(TREE, GRID, comm=world).fit(X, Y)
    copy = clone(search)
    assert copy.comm is world
    assert not hasattr(copy, "best_params_")
    assert is_classifier(copy)
    loaded = pickle.loads(pickle.dumps(search))
    assert loaded.comm is None
    np.testing.assert_array_equal(loaded.predict(X), search.predict(X))
    loaded.fit(X, Y)  # by this process alone


def test_a_search_within_a_cross_validation(world):
    """Nested cross-validation: each outer fold is a search on all ranks."""
    found = cross_val_score(MPIGridSearchCV(TREE, GRID, comm=world), X, Y, cv=3)
    expected = cross_val_score(GridSearchCV(TREE, GRID), X, Y, cv=3)
    np.testing.assert_array_equal(found, expected)


class OnAllRanks(MPIGridSearchCV):
    """A search on all ranks: the checks copy and pickle all parameters."""

    def __init__(self, estimator, param_grid, *, cv=None):
        super().__init__(estimator, param_grid, cv=cv, comm=MPI.COMM_WORLD)


@pytest.mark.parametrize(
    ("model", "grid"),
    [(LogisticRegression(), {"C": [0.1, 1]}), (Ridge(), {"alpha": [0.1, 1]})],
    ids=["classifier", "regressor"],
)
@pytest.mark.filterwarnings("ignore")  # those of GridSearchCV
@pytest.mark.one_mpi
def test_the_checks_of_scikit_learn(model, grid):
    known = {}
    if isinstance(model, Ridge) or MPI.COMM_WORLD.rank:
        known["check_supervised_y_2d"] = "as GridSearchCV of Ridge; rank 0 warns"
    check_estimator(OnAllRanks(model, grid, cv=2), expected_failed_checks=known)
