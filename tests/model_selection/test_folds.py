"""Splits, scores and weights are those of scikit-learn, bit for bit."""

import numpy as np
import pytest
from scipy import sparse
from sklearn import model_selection as skl
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

from mpiapps.base.errors import InputError, UsageError
from mpiapps.model_selection.folds import NestedSplits, Splits
from mpiapps.model_selection.problem import weight_name
from mpiapps.model_selection.scoring import refit_metric
from tests.model_selection import own
from tests.model_selection.test_problem import DIABETES, IRIS, problem_of, scores

TREE = "sklearn.tree:DecisionTreeClassifier"
OWN = "tests.model_selection.own"
GROUPS = np.arange(150) % 7


@pytest.mark.parametrize(
    ("cv", "splitter"),
    [
        ("kfold", skl.KFold(4)),
        ("stratified", skl.StratifiedKFold(4)),
        ("group", skl.GroupKFold(4)),
        ("stratified-group", skl.StratifiedGroupKFold(4)),
        ("repeated", skl.RepeatedKFold(n_splits=4, n_repeats=2, random_state=5)),
        (
            "repeated-stratified",
            skl.RepeatedStratifiedKFold(n_splits=4, n_repeats=2, random_state=5),
        ),
        ("time-series", skl.TimeSeriesSplit(4)),
        ("leave-one-group-out", skl.LeaveOneGroupOut()),
        (f"{OWN}:shuffled", skl.ShuffleSplit(3, test_size=0.2, random_state=5)),
        (f"{OWN}:pairs", own.pairs()),
    ],
)
def test_each_splitter_is_that_of_scikit_learn(cv, splitter):
    order = np.random.default_rng(0).permutation(150)  # all classes in each training
    data = IRIS[0][order], IRIS[1][order]
    groups = GROUPS if "group" in cv else None
    given = groups if ":" in cv else GROUPS  # splitters that need none ignore them
    options = {"cv": cv, "repeats": 2, "groups": given, "seed": 5}
    problem = problem_of(data, TREE, [{"max_depth": 2}], 4, **options)
    tree = DecisionTreeClassifier(max_depth=2, random_state=5)
    wanted = skl.cross_val_score(tree, *data, cv=splitter, groups=groups)
    assert scores(problem) == wanted.tolist()


def test_a_shuffled_splitter_depends_on_the_seed():
    one, two = (
        problem_of(IRIS, TREE, [{}], 5, cv="kfold", shuffle=True, seed=seed).splits[0]
        for seed in (0, 1)
    )
    assert one[1].tolist() != two[1].tolist()


def test_five_folds_are_the_default_of_a_named_splitter():
    assert problem_of(IRIS, TREE, [{}], 0, cv="kfold").folds == 5


@pytest.mark.parametrize(
    ("cv", "reason"),
    [
        ("group", "--cv group needs --groups COLUMN"),
        (f"{OWN}:outside", "indices must be from 0 to 149"),
        (f"{OWN}:empty", "a training or test set has no samples"),
        (f"{OWN}:half", "name a splitter class, or a function"),
        ("builtins:object", "--cv builtins:object: ValueError"),
    ],
)
def test_an_unusable_splitter_is_rejected(cv, reason):
    with pytest.raises(InputError, match=reason):
        problem_of(IRIS, TREE, [{}], 5, cv=cv)


def test_a_missing_splitter_is_rejected():
    with pytest.raises(UsageError, match="nothing"):
        problem_of(IRIS, TREE, [{}], 5, cv=f"{OWN}:nothing")


@pytest.mark.parametrize("n", [1, 2, 7])
def test_splits_return_the_indices_of_each_pair(n):
    pairs = [([k, k + 1, 9], [k + 2] * (k + 1)) for k in range(n)]
    splits = Splits.of(pairs, 10)
    assert len(splits) == n
    for pair, split in zip(pairs, [splits[k] for k in range(n)], strict=True):
        assert [part.tolist() for part in split] == list(pair)
    assert splits.smallest_test() == 1


def test_several_scores_are_computed_from_one_fit():
    scoring = f"f1_macro, accuracy,{OWN}:share_of_first"
    problem = problem_of(IRIS, TREE, [{"max_depth": 1}], 3, scoring=scoring)
    wanted = skl.cross_validate(
        DecisionTreeClassifier(max_depth=1, random_state=0), *IRIS, cv=3,
        scoring={"f1_macro": "f1_macro", "accuracy": "accuracy",
                 "share_of_first": own.share_of_first},
    )  # fmt: skip
    for fold in range(3):
        fit = problem.fit(fold)
        assert fit.reason == ""
        assert fit.scores == {
            name: wanted[f"test_{name}"][fold]
            for name in ("f1_macro", "accuracy", "share_of_first")
        }


def test_a_score_that_is_not_finite_keeps_the_others():
    scoring = f"accuracy,{OWN}:half"
    problem = problem_of(IRIS, TREE, [{}], 3, scoring=scoring, cv="kfold")
    fit = problem.fit(1)
    assert fit.scores.keys() == {"accuracy"}
    assert fit.reason == "the score half is nan"


@pytest.mark.parametrize(
    ("scoring", "refit", "metric"),
    [
        ("", "", "score"),
        ("r2", "", "score"),
        ("r2", "r2", "score"),
        ("a,b", "", "a"),
        ("a,b", "b", "b"),
        ("a,m:b", "m:b", "b"),
        ("a,m:b", "b", "b"),
    ],
)
def test_refit_names_one_of_the_scores(scoring, refit, metric):
    assert refit_metric(scoring, refit) == metric


@pytest.mark.parametrize(("scoring", "refit"), [("", "r2"), ("a,b", "c")])
def test_refit_by_another_score_is_rejected(scoring, refit):
    with pytest.raises(InputError, match=f"--refit {refit}: expected one of --sc"):
        refit_metric(scoring, refit)


@pytest.mark.parametrize("scoring", ["accuracy,accuracy", "m:accuracy,accuracy"])
def test_two_scores_of_one_name_are_rejected(scoring):
    with pytest.raises(InputError, match="the same name"):
        refit_metric(scoring, "")


WEIGHTS = np.linspace(0, 2, 150)


def test_weights_are_of_the_training_samples():
    problem = problem_of(IRIS, TREE, [{"max_depth": 1}], 3, weights=WEIGHTS)
    tree = DecisionTreeClassifier(max_depth=1, random_state=0)
    wanted = skl.cross_val_score(tree, *IRIS, cv=3, params={"sample_weight": WEIGHTS})
    without = skl.cross_val_score(tree, *IRIS, cv=3)
    assert scores(problem) == wanted.tolist() != without.tolist()
    assert problem.digest != problem_of(IRIS, TREE, [{"max_depth": 1}], 3).digest


def test_weights_of_a_pipeline_are_those_of_its_last_step():
    assert weight_name(own.scaled()) == "logisticregression__sample_weight"
    problem = problem_of(IRIS, f"{OWN}:scaled", [{}], 3, weights=WEIGHTS)
    wanted = own.scaled()
    wanted.set_params(logisticregression__random_state=0)
    params = {"logisticregression__sample_weight": WEIGHTS}
    wanted = skl.cross_val_score(wanted, *IRIS, cv=3, params=params)
    assert scores(problem) == wanted.tolist()


def test_an_estimator_without_weights_is_rejected_before_the_fits():
    estimator = "sklearn.neighbors:KNeighborsClassifier"
    with pytest.raises(InputError, match=r"KNeighborsClassifier\.fit takes no sample"):
        problem_of(IRIS, estimator, [{}], 3, weights=WEIGHTS)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_samples_have_the_scores_of_scikit_learn(dtype):
    rows = sparse.csr_array(np.where(IRIS[0] > 1, IRIS[0], 0).astype(dtype))
    estimator = "sklearn.linear_model:LogisticRegression"
    problem = problem_of((rows, IRIS[1]), estimator, [{"max_iter": 500}], 3)
    model = LogisticRegression(max_iter=500, random_state=0)
    wanted = skl.cross_val_score(model, rows, IRIS[1], cv=3)
    assert scores(problem) == wanted.tolist()
    other = problem_of((rows * 2, IRIS[1]), estimator, [{}], 3)
    assert problem.digest != other.digest
    assert problem.nbytes > rows.data.nbytes


def test_float32_is_not_widened():
    x = DIABETES[0].astype(np.float32)
    problem = problem_of((x, DIABETES[1]), "sklearn.linear_model:Ridge", [{}], 3)
    assert problem.refit(0).coef_.dtype == np.float32
    wanted = skl.cross_val_score(Ridge(random_state=0), x, DIABETES[1], cv=3)
    assert scores(problem) == wanted.tolist()


def test_nested_splits_of_partitions_take_a_number_per_sample():
    empty = np.empty(0, np.int64)
    outer, inner = Splits(np.arange(9) % 3, empty), Splits(np.arange(6), empty)
    splits = NestedSplits(outer, (inner,) * 3)
    assert sum(map(len, splits.arrays)) == 9 + 3 * 6
    assert len(splits) == 3 * 6 + 3
    train, test = splits[6 + 2]  # of the second outer fold
    assert (train.tolist(), test.tolist()) == ([0, 2, 5, 6, 8], [3])
    assert [part.tolist() for part in splits[19]] == [[0, 2, 3, 5, 6, 8], [1, 4, 7]]
    assert splits.smallest_test() == 1
