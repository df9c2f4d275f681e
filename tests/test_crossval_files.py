"""Files of a search on ranks: those of scikit-learn on one process."""

import csv
import json

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
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


@pytest.mark.parametrize("size", [1, 3])
def test_sparse_groups_and_several_scores_on_ranks(size, tmp_path):
    x, y = IRIS
    groups = np.arange(150) % 6
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    sparse.save_npz(tmp_path / "x.npz", sparse.csr_array(x.astype(np.float32)))
    np.save(tmp_path / "y.npy", names)
    np.save(tmp_path / "groups.npy", groups)
    results = tmp_path / "results.csv"
    data = [
        f"--{k}={tmp_path / v}"
        for k, v in {"data": "x.npz", "target": "y.npy", "groups": "groups.npy"}.items()
    ]
    args = [*data, "--cv", "group", "--folds", "3", "--scoring", "accuracy,f1_macro",
            "--refit", "f1_macro", "--results", str(results)]  # fmt: skip
    done = crossval(size, tmp_path, *args)
    assert done.code == 0, done.err
    search = GridSearchCV(
        DecisionTreeClassifier(random_state=0), GRID, cv=GroupKFold(3),
        scoring=["accuracy", "f1_macro"], refit="f1_macro",
    )  # fmt: skip
    rows = sparse.csr_array(x.astype(np.float32))
    search.fit(rows, names, groups=groups)
    wanted = search.cv_results_
    with results.open() as stream:
        table = list(csv.DictReader(stream))
    for name in ("split2_test_accuracy", "mean_test_f1_macro", "rank_test_f1_macro"):
        assert [float(row[name]) for row in table] == wanted[name].tolist()
    assert list(table[0]) == list(wanted)
    values = json.loads(done.out)["values"]
    assert values["mean_f1_macro"] == search.best_score_
    assert values["best"] == search.best_index_


@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        (("--cv", "gruop"), 2, "--cv gruop: expected one of kfold"),
        (("--results", "r.json"), 2, "expected a name that ends in .csv or .parquet"),
        (("--refit", "r2"), 2, "--refit r2: expected one of --scoring"),
        (("--cv", "group"), 65, "--cv group needs --groups COLUMN"),
        (("--cv", "tests.model_selection.own:empty"), 65, "test set has no samples"),
    ],
)
def test_wrong_options_are_reported_once(args, code, reason, tmp_path):
    done = crossval(2, tmp_path, *args)
    assert done.code == code, done.err
    assert done.err.count(reason) == 1


def test_an_unwritable_model_is_reported_once_before_the_fits(tmp_path):
    args = ("--folds", "4", "--save-model", str(tmp_path / "no" / "model"))
    done = crossval(2, tmp_path, *args)
    assert done.code == 74
    assert done.err.count("cannot write") == 1


@pytest.mark.parametrize("size", [1, 3])
def test_halving_on_ranks_resumes_and_has_a_curve_beside(size, tmp_path):
    """The numbers are compared in tests/model_selection/test_rounds.py."""
    results, picture = tmp_path / "results.csv", tmp_path / "curve.png"
    args = ["--folds", "3", "--directory", str(tmp_path / "run")]
    halving = [*args, "--search", "halving", "--results", str(results)]
    first, again = (crossval(size, tmp_path, *halving) for _ in range(2))
    assert first.code == again.code == 0, first.err + again.err
    values, repeated = (json.loads(done.out) for done in (first, again))
    assert repeated["values"] == values["values"]
    assert "12 of 12 fits are from" in again.err + again.out
    with results.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["iter"], row["n_resources"]) for row in rows] == [
        *[("0", "50")] * 3,
        ("1", "150"),
    ]
    curve = [*args, "--curve", "validation", "--plot", str(picture)]
    done = crossval(size, tmp_path, *curve, "--results", str(results))
    assert done.code == 0, done.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "mean_train_score" in results.read_text()


def test_a_study_of_optuna_has_the_same_trials_on_ranks(tmp_path):
    """A second run, on more ranks, goes on from the file and the recorded fits."""
    args = ["--folds", "3", "--search", "optuna", "--batch", "4", "--seed", "5"]
    plain = crossval(3, tmp_path, *args, "--n-iter", "8")
    stored = [*args, "--storage", str(tmp_path / "study.log")]
    stored += ["--directory", str(tmp_path / "run")]
    first = crossval(1, tmp_path, *stored, "--n-iter", "4")
    second = crossval(3, tmp_path, *stored, "--n-iter", "8")
    for done in (plain, first, second):
        assert done.code == 0, done.err
    assert "of 24 fits are from" in second.out + second.err
    assert json.loads(second.out)["values"] == json.loads(plain.out)["values"]
    assert json.loads(second.out)["values"]["fits"] == 24


@pytest.mark.parametrize(
    ("size", "backend"),
    [(1, "mpi"), (3, "mpi"), (2, "dask"), (2, "loky")],
)
def test_several_targets_have_the_same_scores_on_all_backends(size, backend, tmp_path):
    x, y = load_diabetes(return_X_y=True)
    columns = {"a": y, "b": x[:, 0], "c": np.sqrt(y), "d": x[:, 2]}
    table = np.column_stack(list(columns.values()))
    header = ",".join(columns)
    np.savetxt(tmp_path / "f.csv", table, "%.17g", ",", header=header, comments="")
    command = ["-m", "mpiapps.crossval", "sklearn.linear_model:Ridge", "--json", "-"]
    fits = tmp_path / "fits.csv"
    options = ["--data", str(tmp_path / "f.csv"), "--target", "a,c", "--folds", "4"]
    done = on_ranks(
        "openmpi", size, *command, *options, "--backend", backend, "-o", str(fits)
    )
    assert done.code == 0, done.err
    expected = cross_val_score(Ridge(), table[:, 1::2], table[:, ::2], cv=4)
    with fits.open() as stream:
        assert [float(r["score"]) for r in csv.DictReader(stream)] == expected.tolist()


TEXT = """
[[columns]]
select = "text"
steps = ["sklearn.preprocessing:OneHotEncoder"]
[[columns]]
select = "number"
steps = ["sklearn.impute:SimpleImputer"]
[search]
model__max_depth = [1, 3]
"""


def test_text_and_empty_cells_have_the_same_scores_on_all_backends(tmp_path):
    x, y = IRIS
    sites = np.array(["north", "", "south"])[np.arange(150) % 3]
    rows = [
        f"{site},{'' if n % 7 == 0 else a},{b},{kind}"
        for n, (site, a, b, kind) in enumerate(
            zip(sites, x[:, 0], x[:, 1], y, strict=True)
        )
    ]
    (tmp_path / "f.csv").write_text("\n".join(["site,a,b,kind", *rows]))
    (tmp_path / "text.toml").write_text(TEXT)
    command = ["-m", "mpiapps.crossval", "sklearn.tree:DecisionTreeClassifier"]
    options = ["--data", str(tmp_path / "f.csv"), "--params",
               str(tmp_path / "text.toml"), "--folds", "3", "--json", "-"]  # fmt: skip
    values = []
    for size, backend in [(1, "mpi"), (3, "mpi"), (2, "dask"), (2, "loky")]:
        done = on_ranks("openmpi", size, *command, *options, "--backend", backend)
        assert done.code == 0, done.err
        values.append(json.loads(done.out)["values"])
    assert all(each == values[0] for each in values)
    assert 0.5 < values[0]["mean_score"] < 1


def test_nested_scores_are_the_same_on_all_backends_and_resume(tmp_path):
    """The numbers are compared in tests/model_selection/test_nested.py."""
    results, fits = tmp_path / "results.csv", tmp_path / "fits.csv"
    run = ["--directory", str(tmp_path / "run")]
    files = ["--results", str(results), "-o", str(fits)]
    values = []
    for size, own in [
        (1, [*run, *files]), (3, []), (2, ["--backend", "dask"]), (3, run),
    ]:  # fmt: skip
        done = crossval(size, tmp_path, "--folds", "3", "--outer-folds", "4", *own)
        assert done.code == 0, done.err
        values.append(json.loads(done.out)["values"])
    assert "40 of 40 fits are from" in done.out + done.err
    assert all(each == values[0] for each in values)
    search = GridSearchCV(DecisionTreeClassifier(random_state=0), GRID, cv=3)
    expected = cross_val_score(search, *IRIS, cv=4)
    assert values[0]["outer_score"] == expected.tolist()
    with results.open() as stream:
        table = list(csv.DictReader(stream))
    assert [float(row["outer_score"]) for row in table] == expected.tolist()
    with fits.open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 40
    outer = [float(row["score"]) for row in rows if not row["fold"]]
    assert outer == expected.tolist()
