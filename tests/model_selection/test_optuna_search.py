"""Studies of Optuna: the same trials on any run, and after a kill."""

from contextlib import suppress
from pathlib import Path

import pytest

from mpiapps.base.errors import InputError
from mpiapps.model_selection.optuna_search import StudyOptions, optuna_search
from mpiapps.model_selection.report import summary
from mpiapps.model_selection.rounds import run_rounds
from mpiapps.model_selection.search_space import Interval
from tests.model_selection.test_folds import TREE
from tests.model_selection.test_problem import IRIS, problem_of
from tests.model_selection.test_rounds import ALONE, execute

SPACE = {
    "max_depth": Interval(1, 8, log=False),
    "ccp_alpha": Interval(1e-5, 0.3, log=True),
    "class_weight": [None, "balanced", {0: 1, 1: 5, 2: 1}],
}
FIXED = {"criterion": "entropy"}


def search_of(storage="", trials=14, batch=4, seed=0, space=SPACE):
    problem = problem_of(IRIS, TREE, [{}], 3, seed=seed)
    options = StudyOptions(trials, batch, str(storage))
    return problem, optuna_search(problem, (FIXED, [space]), options)


def searched(*args, **options):
    return run_rounds(ALONE, *search_of(*args, **options), execute)


@pytest.fixture(scope="module")
def expected():
    return searched().problem.candidates


def test_trials_are_from_the_space_and_depend_on_the_seed(expected):
    assert len(expected) == 14
    for tried in expected:
        assert list(tried) == ["criterion", *SPACE]
        assert tried["class_weight"] in SPACE["class_weight"]
        assert 1 <= tried["max_depth"] <= 8
        assert 1e-5 <= tried["ccp_alpha"] <= 0.3
    assert searched(seed=1).problem.candidates != expected


@pytest.mark.parametrize("name", ["study.log", "study.db"])
@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_a_killed_run_goes_on_with_the_same_trials(name, rounds, expected, tmp_path):
    _, search = search_of(tmp_path / name)
    part = next(search)
    for _ in range(rounds - 1):
        now = problem_of(IRIS, TREE, part.candidates, 3)
        part = search.send((now, execute(now)))
    search.close()  # its last trials are running in the storage, as after a kill
    found = searched(tmp_path / name)
    assert found.problem.candidates == expected
    more = searched(tmp_path / name, trials=17)
    assert more.problem.candidates[:14] == expected
    assert len(more.problem.candidates) == 17


def open_files(path):
    """Return how often this process has a file open."""
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            links.append(descriptor.readlink())
    return links.count(path)


def test_a_database_is_closed_between_two_calls(tmp_path):
    _, search = search_of(tmp_path / "study.db")
    next(search)
    assert open_files(tmp_path / "study.db") == 0
    (tmp_path / "text.db").write_text("not a study, but a text of some length\n" * 9)
    with pytest.raises(InputError) as error:
        next(search_of(tmp_path / "text.db")[1])
    assert open_files(tmp_path / "text.db") == 0, error


def test_the_best_is_that_of_all_batches():
    found = searched()
    values = summary(found.problem, found.fits, "", found.last).values
    means = [
        sum(fit.scores["score"] for fit in found.fits[3 * n : 3 * n + 3])
        for n in range(14)
    ]
    assert values["best"] == means.index(max(means))
    assert [fit.number for fit in found.fits] == list(range(42))


def test_failed_trials_are_not_repeated(tmp_path):
    space = {"max_depth": [-1, 2]}
    first = searched(tmp_path / "study.log", space=space)
    again = searched(tmp_path / "study.log", space=space)
    assert {fit.reason != "" for fit in first.fits} == {True, False}
    assert again.problem.candidates == first.problem.candidates


def test_another_space_is_another_study(tmp_path):
    searched(tmp_path / "study.log", trials=2)
    found = searched(tmp_path / "study.log", trials=2, space={"max_depth": [1, 2]})
    assert all(list(c) == ["criterion", "max_depth"] for c in found.problem.candidates)


@pytest.mark.parametrize("spaces", [[], [SPACE, SPACE]], ids=["none", "two"])
def test_a_study_has_one_space(spaces):
    problem = problem_of(IRIS, TREE, [{}], 3)
    with pytest.raises(InputError, match=r"tables \[search\]"):
        next(optuna_search(problem, (FIXED, spaces), StudyOptions(2, 2)))


@pytest.mark.parametrize("name", ["study.log", "study.db"])
def test_a_file_that_is_not_a_study_is_rejected_and_kept(name, tmp_path):
    content = "not a study, but a text of some length\n" * 9
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match="a file of Optuna"):
        next(search_of(tmp_path / name)[1])
    assert (tmp_path / name).read_text() == content
    with pytest.raises(InputError, match="a file of Optuna"):
        next(search_of(tmp_path / "absent" / name)[1])
