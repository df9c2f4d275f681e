"""The model of the best candidate is saved whole, with what it depends on."""

import json
import warnings
from contextlib import ExitStack

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.tree import DecisionTreeClassifier

from mpiapps.base.errors import FileAccessError, InputError, LaunchError
from mpiapps.model_selection.outputs import Outputs
from mpiapps.model_selection.rounds import Found
from mpiapps.model_selection.saved_model import VersionWarning, load_model, versions
from tests.model_selection.test_problem import IRIS, problem_of

TREE = "sklearn.tree:DecisionTreeClassifier"
DEPTHS = [1, 2, 3]


def searched(path, estimator=TREE, candidates=None, fits=""):
    """Run a search on this process, and write its files."""
    tried = candidates or [{"max_depth": depth} for depth in DEPTHS]
    problem = problem_of(IRIS, estimator, tried, 4)
    with ExitStack() as stack:
        outputs = Outputs(stack, fits, model=str(path))
        every = [problem.fit(number) for number in range(len(problem))]
        return outputs.write(Found(problem, every))


@pytest.mark.parametrize("name", ["model.joblib", "model.skops"])
def test_the_model_is_the_best_estimator_of_scikit_learn(name, tmp_path):
    searched(tmp_path / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = load_model(str(tmp_path / name), ["sklearn.tree._tree.Tree"])
    tree, folds = DecisionTreeClassifier(random_state=0), StratifiedKFold(4)
    search = GridSearchCV(tree, {"max_depth": DEPTHS}, cv=folds).fit(*IRIS)
    x, _ = load_iris(return_X_y=True)
    assert model.get_params() == search.best_estimator_.get_params()
    probabilities = search.best_estimator_.predict_proba(x)
    assert np.array_equal(model.predict_proba(x), probabilities)
    described = json.loads((tmp_path / f"{name}.json").read_text())
    assert described["parameters"] == search.best_params_
    assert described["mean_score"] == search.best_score_
    assert {"python", "scikit-learn", "numpy"} <= described["versions"].keys()
    assert described["versions"] == versions()


def test_joblib_alone_loads_a_model(tmp_path):
    searched(tmp_path / "model.pkl")
    assert isinstance(joblib.load(tmp_path / "model.pkl"), DecisionTreeClassifier)


def test_other_versions_are_a_warning(tmp_path):
    searched(tmp_path / "model.joblib")
    file = tmp_path / "model.joblib.json"
    described = json.loads(file.read_text())
    described["versions"]["numpy"] = "1.0"
    file.write_text(json.dumps(described))
    with pytest.warns(VersionWarning, match=r"saved with numpy 1\.0 \(here"):
        load_model(str(tmp_path / "model.joblib"))


@pytest.mark.parametrize(
    ("change", "error", "reason"),
    [
        ("content", InputError, "its SHA-256 differs"),
        ("description", InputError, "does not describe a model"),
        ("absent", FileAccessError, "cannot read"),
    ],
)
def test_a_model_without_its_description_is_rejected(change, error, reason, tmp_path):
    searched(tmp_path / "model.joblib")
    described = tmp_path / "model.joblib.json"
    if change == "content":
        (tmp_path / "model.joblib").write_bytes(b"cos\nsystem\n")
    elif change == "description":
        described.write_text("[]")
    else:
        described.unlink()
    with pytest.raises(error, match=reason):
        load_model(str(tmp_path / "model.joblib"))


def test_a_model_that_cannot_be_saved_keeps_the_old_one(tmp_path):
    """The fits are written nevertheless."""
    path, fits = tmp_path / "model.joblib", tmp_path / "fits.csv"
    searched(path)
    before = path.read_bytes()
    estimator = "tests.model_selection.estimators:Unpicklable"
    result = searched(path, estimator, [{"max_depth": 1}], str(fits))
    assert result.exit_code == 3
    assert "candidate 0 cannot be fitted to all samples and saved" in result.notes[-1]
    assert path.read_bytes() == before
    assert load_model(str(path)).get_params()["max_depth"] in DEPTHS
    assert len(fits.read_text().splitlines()) == 1 + 4
    assert not list(tmp_path.glob("*.part"))


def test_no_model_is_saved_if_all_fits_failed(tmp_path):
    result = searched(tmp_path / "model.joblib", candidates=[{"max_depth": -1}])
    assert result.exit_code == 3
    assert "all fits have failed" in result.notes[-1]
    assert not list(tmp_path.iterdir())


def test_a_target_that_cannot_be_written_is_found_before_the_fits(tmp_path):
    with ExitStack() as stack, pytest.raises(FileAccessError, match="no/model"):
        Outputs(stack, model=str(tmp_path / "no" / "model"))
    (tmp_path / "model.json").mkdir()
    with ExitStack() as stack, pytest.raises(FileAccessError, match=r"model\.json"):
        Outputs(stack, model=str(tmp_path / "model"))
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]


def test_skops_is_named_if_it_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with ExitStack() as stack, pytest.raises(LaunchError, match=r"mpiapps\[skops\]"):
        Outputs(stack, model=str(tmp_path / "model.skops"))
