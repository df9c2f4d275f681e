"""Cross-validation as users run it: same scores everywhere, nothing fitted twice."""

import csv
import json
import os
import signal
import subprocess
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from mpiapps.crossval import BACKENDS
from mpiapps.farming.journal import read
from mpiapps.learning.backends import BACKENDS as WAYS
from tests.launch import ROOT, clean_environment, folder, marked, on_ranks

WORDS = ("--data", "iris", "--folds", "4")
# A hundred fits of 0.05 s and more.
PATIENT = ("tests.learning.estimators:Patient", "--data", "classification:100x20")


def crossval(mpi, size, *words, **variables):
    return on_ranks(mpi, size, "-m", "mpiapps.crossval", *words, **variables)


def found(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["values"]


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    path = tmp_path_factory.mktemp("space") / "space.toml"
    path.write_text("[fixed]\nn_estimators = 4\n[search]\nmax_depth = [1, 2, 3]\n")
    return str(path)


@pytest.fixture(scope="module")
def wanted(space):
    done = crossval("openmpi", 1, *WORDS, "--params", space, "--json", "-")
    return found(done)


@pytest.mark.parametrize(
    ("mpi", "size", "backend"),
    [("mpich", 2, "mpi"), ("impi", 3, "mpi"), ("openmpi", 4, "mpi"),
     ("openmpi", 3, "dask"), ("mpich", 1, "dask"), ("openmpi", 2, "loky"),
     ("openmpi", 1, "threading"), ("mpich", 1, "multiprocessing"),
     ("openmpi", 1, "ray")],
)  # fmt: skip
def test_scores_have_the_same_bits_whoever_does_the_fits(
    mpi, size, backend, space, wanted
):
    words = ("--params", space, "--backend", backend, "--jobs", "2", "--json", "-")
    values = found(crossval(mpi, size, *WORDS, *words))
    assert values == wanted
    assert values["fits"] == 12


def test_workers_of_ray_yield_to_nobody_else_on_the_host():
    words = ("tests.learning.estimators:Nice", *WORDS, "--backend", "ray")
    values = found(crossval("openmpi", 1, *words, "--jobs", "2", "--json", "-"))
    assert values["mean_score"] == os.nice(0)


def test_a_parameter_that_there_is_not_is_told_of(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[search]\nmax_dept = [1, 2]\n")
    done = crossval("mpich", 2, *WORDS, "--params", str(path))
    assert done.code == 65
    assert done.err.startswith("mpiapps: error")
    assert "max_dept" in done.err
    assert "Traceback" not in done.err


def test_a_score_that_there_is_not_is_told_of_before_any_fit():
    done = crossval("mpich", 2, *WORDS, "--scoring", "acuracy")
    assert done.code == 65
    assert done.err.count("--scoring acuracy is none of accuracy") == 1


def test_the_best_parameter_may_be_infinite(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[search]\nC = [1e-9, inf]\n")
    words = ("sklearn.linear_model:LogisticRegression", *WORDS, "--params", str(path))
    values = found(crossval("mpich", 2, *words, "--json", "-"))
    assert values["best_C"] == "inf"


def test_a_fit_that_ends_its_worker_is_one_that_failed(tmp_path):
    fits = tmp_path / "fits.csv"
    words = ("tests.learning.estimators:Deadly", *WORDS, "--backend", "dask")
    done = crossval("openmpi", 2, *words, "-o", str(fits))
    assert done.code == 3, done.err
    with fits.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [bool(row["score"]) for row in rows] == [False, True, True, True]
    assert "KilledWorker" in rows[0]["why"]


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_a_fit_that_ends_a_worker_of_joblib_ends_the_run(backend):
    words = ("tests.learning.estimators:Deadly", *WORDS, "--backend", backend)
    done = crossval("openmpi", 1, *words, "--jobs", "2")
    assert done.code == 1
    assert done.err.count(f"a worker of {backend} ended while it had fits") == 1
    assert "Traceback" not in done.err


def test_workers_of_loky_end_with_a_rank_that_is_killed(tmp_path):
    mark = f"mpiapps-test-{uuid.uuid4()}"
    script = str(ROOT / "scripts" / "on_ranks.py")
    command = [str(folder("openmpi") / "python"), script, "2", "-m", "mpiapps.crossval"]
    words = (*PATIENT, "--backend", "loky", "--jobs", "2", "--directory", str(tmp_path))
    with subprocess.Popen(
        [*command, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(CROSSVAL_MARK=mark),
    ) as process:
        until = time.monotonic() + 60
        while not any(f.stat().st_size > 1000 for f in tmp_path.glob("journal.*")):
            assert time.monotonic() < until
            time.sleep(0.05)
        [root] = [
            pid
            for pid in marked(mark)
            if b"OMPI_COMM_WORLD_RANK=0" in Path(f"/proc/{pid}/environ").read_bytes()
            and b"-m\0mpiapps.crossval" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        os.kill(root, signal.SIGKILL)
        process.communicate(timeout=30)
    while left := marked(mark):
        assert time.monotonic() < until, left
        time.sleep(0.1)


def test_each_backend_has_a_way():
    assert tuple(WAYS) == BACKENDS


def test_each_fit_is_written(space, tmp_path):
    file = tmp_path / "fits.csv"
    done = crossval("openmpi", 2, *WORDS, "--params", space, "-o", str(file))
    assert done.code == 0, done.err
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) == 12
    assert [row["candidate"] for row in rows] == [str(i // 4) for i in range(12)]
    assert all(0.5 < float(row["score"]) <= 1 for row in rows)
    assert {row["max_depth"] for row in rows} == {"1", "2", "3"}


def test_failed_fits_are_told_of_and_tried_again(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[search]\nn_estimators = [-1, 3]\n")
    words = (*WORDS, "--params", str(path), "--directory", str(tmp_path / "run"))
    for fits in (8, 4):
        done = crossval("openmpi", 3, *words)
        assert done.code == 3
        assert ["failed", "4"] in [line.split() for line in done.out.splitlines()]
        assert "The 'n_estimators' parameter" in done.out
        lines = sum(
            len(file.read_text().splitlines()) - 1
            for file in (tmp_path / "run").glob("journal.*")
        )
        assert lines == (8 if fits == 8 else 12)


def fits_in(directory):
    """Return the fits in all journals, each as often as it is recorded."""
    paths = directory.glob("journal.*")
    return Counter(each["number"] for path in paths for each in read(path).records)


def test_a_killed_run_goes_on_beside_ranks_that_outlive_it(tmp_path):
    words = (*PATIENT, "--json", "-")
    whole = found(crossval("openmpi", 2, *words))
    directory = tmp_path / "run"
    mark = f"mpiapps-test-{uuid.uuid4()}"
    script = str(ROOT / "scripts" / "on_ranks.py")
    command = [str(folder("openmpi") / "python"), script, "3", "-m", "mpiapps.crossval"]
    process = subprocess.Popen(
        [*command, *words, "--directory", str(directory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(CROSSVAL_MARK=mark),
    )
    until = time.monotonic() + 60
    while fits_in(directory).total() < 20:
        assert time.monotonic() < until
        time.sleep(0.05)
    owner = json.loads((directory / "owner").read_text())["pid"]
    for pid in (process.pid, owner):  # nobody else is told
        os.kill(pid, signal.SIGKILL)
    before = fits_in(directory)
    assert before.total() < 100
    assert found(crossval("openmpi", 3, *words, "--directory", str(directory))) == whole
    process.wait()
    after = fits_in(directory)
    assert len(after) == 100
    assert all(after[number] == 1 for number in before)
    while left := marked(mark):
        assert time.monotonic() < until, left
        time.sleep(0.1)


@pytest.mark.parametrize(
    "backend", ["mpi", "dask", "loky", "multiprocessing"], ids="by {}".format
)
def test_it_stops_in_time_and_goes_on(backend, tmp_path):
    words = (*PATIENT, "--checkpoint", str(tmp_path / "c.json"),
             "--backend", backend, "--jobs", "2")  # fmt: skip
    done = crossval("openmpi", 2, *words, "--seconds", "2")
    assert done.code == 75, done.err
    assert "fits left; the same command goes on" in done.err
    lines = [f.read_bytes().count(b"\n") - 1 for f in tmp_path.rglob("journal.*")]
    done = crossval("openmpi", 2, *words)
    assert done.code == 0
    assert "fits           100" in done.out
    assert (f"{sum(lines)} of 100 fits are from" in done.out) == (sum(lines) > 0)


def test_a_directory_of_another_case_is_refused(tmp_path):
    words = (*WORDS, "--directory", str(tmp_path))
    assert crossval("openmpi", 2, *words).code == 0
    done = crossval("openmpi", 2, *words, "--seed", "1")
    assert done.code == 65
    assert done.err.count("is of other data") == 1


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("--folds", "1"), 2, "leaves nothing to fit"),
        (("Forest",), 2, "no MODULE:CLASS"),
        (("--data", "olives"), 65, "olives is none of"),
        (("sklearn.no:Such",), 2, "No module named"),
        (("--backend", "spark"), 2, "not one of"),
    ],
)
def test_what_makes_no_sense_is_told_once(words, code, why):
    done = crossval("mpich", 2, *words)
    assert done.code == code
    assert done.err.count(why) == 1


def test_a_draw_that_comes_twice_is_fitted_once_more_never(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        "[fixed]\nn_estimators = 2\n[search]\nmax_depth = {low=1, high=2}\n"
    )
    words = (
        *WORDS,
        "--params",
        str(path),
        "--draws",
        "6",
        "--directory",
        str(tmp_path),
    )
    whole = found(crossval("openmpi", 2, *words, "--json", "-"))
    assert fits_in(tmp_path).total() == 24
    assert found(crossval("openmpi", 2, *words, "--json", "-")) == whole
    assert fits_in(tmp_path).total() == 24
