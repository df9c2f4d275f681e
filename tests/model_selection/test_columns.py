"""Text and missing values: a pipeline of the parameter file is that of scikit-learn."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from mpiapps.base.errors import InputError, LaunchError
from mpiapps.crossval import Options, read_problem
from mpiapps.model_selection.data import read_data
from mpiapps.model_selection.results import cv_results

SPACE = """
[[columns]]
select = "text"
steps = [
    {class = "sklearn.impute:SimpleImputer", strategy = "most_frequent"},
    {class = "sklearn.preprocessing:OneHotEncoder", handle_unknown = "ignore"},
]
[[columns]]
select = "number"
steps = "sklearn.impute:SimpleImputer"
[[columns]]
select = ["id"]
steps = "drop"
[fixed]
model__n_estimators = 5
[search]
model__max_depth = [2, 4]
columns__number__simpleimputer__strategy = ["mean", "median"]
"""
GRID = {
    "model__max_depth": [2, 4],
    "columns__number__simpleimputer__strategy": ["mean", "median"],
}


@pytest.fixture
def table(tmp_path):
    """Return the path of a CSV file with text, numbers and empty cells."""
    rng = np.random.default_rng(0)
    n = 90
    frame = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(n)],
            "site": rng.choice(["north", "south", "west"], n),
            "size": rng.normal(size=n),
            "used": rng.random(n) < 0.5,
            "rooms": rng.integers(1, 9, n).astype(float),
        }
    )
    frame["kind"] = np.where((frame["size"] > 0) ^ (frame["site"] == "west"), "a", "b")
    frame.loc[rng.random(n) < 0.2, "site"] = None
    frame.loc[rng.random(n) < 0.2, "rooms"] = None
    frame.to_csv(tmp_path / "f.csv", index=False)
    return tmp_path / "f.csv"


def of_scikit_learn(table):
    frame = pd.read_csv(table).astype({"used": float})
    text = make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")
    )
    columns = ColumnTransformer([
        ("text", text, ["site"]),
        ("number", make_pipeline(SimpleImputer()), ["size", "used", "rooms"]),
    ])  # fmt: skip
    model = make_pipeline(columns, RandomForestClassifier(5, random_state=0))
    model.steps = [("columns", model.steps[0][1]), ("model", model.steps[1][1])]
    frame["site"] = frame["site"].astype(object)
    return model, frame.drop(columns="kind"), frame["kind"].to_numpy(dtype=str)


def problem_of(table, space=SPACE, **options):
    path = table.parent / "space.toml"
    path.write_text(space)
    estimator = "sklearn.ensemble:RandomForestClassifier"
    return read_problem(
        Options(estimator, data=str(table), folds=3, params=str(path), **options)
    )


def execute(problem):
    fits = [problem.fit(n) for n in range(len(problem))]
    assert not [fit.reason for fit in fits if fit.reason]
    return fits


def test_a_pipeline_of_the_parameter_file_is_that_of_scikit_learn(table):
    problem = problem_of(table)
    columns = cv_results(problem, execute(problem))
    model, x, y = of_scikit_learn(table)
    wanted = GridSearchCV(model, GRID, cv=StratifiedKFold(3)).fit(x, y).cv_results_
    assert len(columns["mean_test_score"]) == 4
    order = [columns["params"].index(p) for p in columns["params"]]
    found = {
        tuple(sorted(problem.candidates[n].items())): [
            columns[f"split{k}_test_score"][n] for k in range(3)
        ]
        for n in order
    }
    for n, parameters in enumerate(wanted["params"]):
        key = tuple(sorted({**parameters, "model__n_estimators": 5}.items()))
        assert found[key] == [wanted[f"split{k}_test_score"][n] for k in range(3)]


def test_text_is_categories_and_numbers_are_kept(table):
    x, y, groups, _ = read_data(str(table), "", 0, "id", frame=True)
    raw = pd.read_csv(table)
    assert list(x.columns) == ["site", "size", "used", "rooms"]
    assert x["site"].cat.categories.tolist() == ["north", "south", "west"]
    assert x["site"].isna().tolist() == raw["site"].isna().tolist()
    assert x["site"].isna().any()
    assert x["used"].tolist() == raw["used"].astype(float).tolist()
    np.testing.assert_array_equal(x["rooms"], raw["rooms"])
    assert groups[0] == "p0"
    assert y[0] == raw["kind"][0]


def test_an_estimator_may_take_the_frame_itself(table):
    path = table.parent / "space.toml"
    path.write_text("[fixed]\nmax_iter = 5\ncategorical_features = 'from_dtype'\n")
    problem = read_problem(
        Options(
            "sklearn.ensemble:HistGradientBoostingClassifier", data=str(table),
            folds=3, params=str(path), as_frame=True, groups="id",
        )
    )  # fmt: skip
    found = [fit.scores["score"] for fit in execute(problem)]
    x = pd.read_csv(table).astype({"site": "category", "used": float})
    y = x.pop("kind").to_numpy(dtype=str)
    model = HistGradientBoostingClassifier(
        max_iter=5, random_state=0, categorical_features="from_dtype"
    )
    assert found == cross_val_score(model, x.drop(columns="id"), y, cv=3).tolist()


def test_what_is_recorded_depends_on_columns_and_text(table):
    first = problem_of(table).digest
    assert problem_of(table).digest == first
    assert problem_of(table, SPACE.replace("ignore", "error")).digest != first
    table.write_text(table.read_text().replace("north", "east"))
    assert problem_of(table).digest != first


def test_text_without_a_pipeline_has_a_remedy(table):
    with pytest.raises(InputError, match=r"column id holds.*\[\[columns\]\].*--as-fr"):
        read_data(str(table), "", 0)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('["id"]', '["ix"]', "select 'ix': the features are id, site"),
        ('"text"', '["site"]', None),
        ('"number"', '["size"]', r"no \[\[columns\]\] selects used, rooms"),
        ('"number"', '"text"', "two .* the name 'text'"),
        ('"number"', "3", "select = 3"),
        ('"number"', "[]", r"select = \[\]"),
        ('"drop"', '"remove"', "step 'remove': expected 'MODULE:CLASS'"),
        ('"drop"', "[]", r"steps = \[\]"),
        ('"drop"', '"drop"\nstep = 1', "got step"),
        ('"drop"', '"drop"\nname = "a__b"', "a name without '__', got 'a__b'"),
        ("handle_unknown", "handel", "OneHotEncoder.*handel"),
    ],
)
def test_a_wrong_table_is_reported(old, new, reason, table):
    space = SPACE.replace(old, new)
    if reason is None:
        assert len(problem_of(table, space)) == 12
        return
    with pytest.raises(InputError, match=reason):
        problem_of(table, space)


def test_values_that_are_neither_numbers_nor_text_are_rejected(tmp_path):
    (tmp_path / "f.csv").write_text("day,kind\n2026-01-01,1\n2026-01-02,2\n")
    with pytest.raises(InputError, match="column day holds"):
        read_data(str(tmp_path / "f.csv"), "", 0, frame=True)


def test_without_pandas_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(LaunchError, match=r"pandas.*mpiapps\[frames\]"):
        read_data("iris", "", 0, frame=True)
