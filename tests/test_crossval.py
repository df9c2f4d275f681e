"""Cross-validation as users run it: equal scores on all backends, no repeated fits."""

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

from mpiapps.storage.journal import read
from tests.commands import (
    LIMIT,
    ROOT,
    bin_directory,
    clean_environment,
    install,
    marked,
    on_ranks,
)

pytestmark = pytest.mark.usefixtures("preloaded")

DATA_ARGS = ("--data", "iris", "--folds", "4")
SPACE = str(Path(__file__).parent / "model_selection" / "space.toml")
SEARCH = (*DATA_ARGS, "--params", SPACE)  # 12 fits
# A hundred fits of at least 0.05 s.
SLOW = (
    "tests.model_selection.estimators:Slow",
    "--data",
    "classification:100x20",
)


def crossval(mpi, size, *args, **variables):
    return on_ranks(mpi, size, "-m", "mpiapps.crossval", *args, **variables)


def values_of(done):
    assert done.code == 0, done.err
    return json.loads(done.out)["values"]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("directory")


@pytest.fixture(scope="module")
def wanted(directory):
    """Return the values of a run on one rank, whose fits are in `directory`."""
    args = ("--directory", str(directory), "--json", "-")
    return values_of(crossval("openmpi", 1, *SEARCH, *args))


@pytest.mark.parametrize(
    ("mpi", "size", "backend"),
    [("mpich", 2, "mpi"), ("impi", 2, "mpi"), ("openmpi", 3, "mpi"),
     ("openmpi", 2, "dask"), ("openmpi", 2, "loky"),
     ("openmpi", 1, "threading"), ("mpich", 1, "multiprocessing"),
     ("openmpi", 1, "ray")],
)  # fmt: skip
def test_scores_have_the_same_bits_on_all_backends(
    mpi, size, backend, wanted, tmp_path
):
    file = tmp_path / "fits.csv"
    args = ("--backend", backend, "--n-jobs", "2", "-o", str(file), "--json", "-")
    values = values_of(crossval(mpi, size, *SEARCH, *args))
    assert values == wanted
    assert values["fits"] == 12
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert [row["candidate"] for row in rows] == [str(i // 4) for i in range(12)]
    assert all(0.5 < float(row["score"]) <= 1 for row in rows)
    assert {row["max_depth"] for row in rows} == {"1", "2", "3"}


@pytest.mark.parametrize(
    "args",
    [("mpi",), ("dask",), ("loky",), ("multiprocessing",), ("ray",),
     ("mpi", "--time", "1m"), ("dask", "--time", "1m")],
    ids=lambda args: f"on {' '.join(args)}",
)  # fmt: skip
def test_the_samples_are_on_a_host_once(args):
    data = ("--data", "classification:1000x20", "--folds", "3", "--n-jobs", "2")
    model = "tests.model_selection.estimators:Mapped"
    done = crossval("openmpi", 2, model, *data, "--json", "-", "--backend", *args)
    assert values_of(done)["mean_score"] == 1.0


def test_workers_of_ray_have_the_nice_value_of_the_rank():
    args = ("tests.model_selection.estimators:Niceness", *DATA_ARGS, "--backend", "ray")
    values = values_of(crossval("openmpi", 1, *args, "--n-jobs", "2", "--json", "-"))
    assert values["mean_score"] == os.nice(0)


def test_an_unknown_parameter_is_reported(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[search]\nmax_dept = [1, 2]\n")
    done = crossval("openmpi", 2, *DATA_ARGS, "--params", str(path))
    assert done.code == 65
    assert done.err.startswith("mpiapps: error")
    assert "max_dept" in done.err
    assert "Traceback" not in done.err


def test_an_unknown_score_is_reported_before_any_fit():
    done = crossval("openmpi", 2, *DATA_ARGS, "--scoring", "acuracy")
    assert done.code == 65
    assert done.err.count("--scoring acuracy: expected one of accuracy") == 1


def test_the_best_parameter_may_be_infinite(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[search]\nC = [1e-9, inf]\n")
    args = (
        "sklearn.linear_model:LogisticRegression",
        *DATA_ARGS,
        "--params",
        str(path),
    )
    values = values_of(crossval("openmpi", 1, *args, "--json", "-"))
    assert values["best_C"] == "inf"


def test_a_fit_that_kills_its_dask_worker_has_failed(tmp_path):
    fits = tmp_path / "fits.csv"
    args = ("tests.model_selection.estimators:Killed", *DATA_ARGS, "--backend", "dask")
    done = crossval("openmpi", 2, *args, "-o", str(fits))
    assert done.code == 3, done.err
    with fits.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [bool(row["score"]) for row in rows] == [False, True, True, True]
    assert "KilledWorker" in rows[0]["reason"]


@pytest.mark.parametrize("backend", ["loky", "multiprocessing"])
def test_a_fit_that_kills_a_joblib_worker_ends_the_run(backend):
    args = ("tests.model_selection.estimators:Killed", *DATA_ARGS, "--backend", backend)
    done = crossval("openmpi", 1, *args, "--n-jobs", "2")
    assert done.code == 1
    assert done.err.count(f"a worker of {backend} ended while it had fits") == 1
    assert "Traceback" not in done.err


def test_workers_of_loky_end_with_a_killed_rank(tmp_path):
    mark = f"mpiapps-test-{uuid.uuid4()}"
    script = str(ROOT / "scripts" / "on_ranks.py")
    command = [
        str(bin_directory("openmpi") / "python"),
        script,
        "2",
        "-m",
        "mpiapps.crossval",
    ]
    args = (
        *SLOW,
        "--backend",
        "loky",
        "--n-jobs",
        "2",
        "--directory",
        str(tmp_path),
    )
    with subprocess.Popen(
        [*command, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(CROSSVAL_MARK=mark, PRELOAD_SERVER=""),
    ) as process:
        until = time.monotonic() + LIMIT
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


def test_a_backend_of_another_package_is_found(tmp_path, wanted):
    module = (
        "from mpiapps.tasks.executors import static\n"
        "def executor(ctx, tasks, chunks, stop):\n"
        "    yield from static(ctx, tasks, chunks, stop)\n"
    )
    entry = "[mpiapps.backends]\nmine = mine:executor\n"
    path = {"PYTHONPATH": install(tmp_path, entry, mine=module)}
    args = (*SEARCH, "--backend", "mine", "--json", "-")
    assert values_of(crossval("mpich", 2, *args, **path)) == wanted


def test_failed_fits_are_reported_and_repeated(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[search]\nn_estimators = [-1, 3]\n")
    args = (*DATA_ARGS, "--params", str(path), "--directory", str(tmp_path / "run"))
    for fits in (8, 4):
        done = crossval("openmpi", 2, *args)
        assert done.code == 3
        assert ["failed", "4"] in [line.split() for line in done.out.splitlines()]
        assert "The 'n_estimators' parameter" in done.out
        lines = sum(
            len(file.read_text().splitlines()) - 1
            for file in (tmp_path / "run").glob("journal.*")
        )
        assert lines == (8 if fits == 8 else 12)


def fits_in(directory):
    """Return how often each fit is recorded in all journals."""
    paths = directory.glob("journal.*")
    return Counter(fit["key"] for path in paths for fit in read(path).records)


def test_a_killed_run_resumes_while_some_of_its_ranks_still_run(tmp_path):
    args = (*SLOW, "--json", "-")
    whole = values_of(crossval("openmpi", 1, *args))
    directory = tmp_path / "run"
    mark = f"mpiapps-test-{uuid.uuid4()}"
    script = str(ROOT / "scripts" / "on_ranks.py")
    command = [
        str(bin_directory("openmpi") / "python"),
        script,
        "3",
        "-m",
        "mpiapps.crossval",
    ]
    process = subprocess.Popen(
        [*command, *args, "--directory", str(directory)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(CROSSVAL_MARK=mark, PRELOAD_SERVER=""),
    )
    until = time.monotonic() + LIMIT
    while fits_in(directory).total() < 20:
        assert time.monotonic() < until
        time.sleep(0.05)
    owner = json.loads((directory / "owner").read_text())["pid"]
    for pid in (process.pid, owner):  # the other ranks get no signal
        os.kill(pid, signal.SIGKILL)
    before = fits_in(directory)
    assert before.total() < 100
    resumed = crossval("openmpi", 2, *args, "--directory", str(directory))
    assert values_of(resumed) == whole
    process.wait()
    after = fits_in(directory)
    assert len(after) == 100
    assert all(after[key] == 1 for key in before)
    while left := marked(mark):
        assert time.monotonic() < until, left
        time.sleep(0.1)


# An id "mpi" would be the mark of rank tests for pytest-mpi.
@pytest.mark.parametrize("backend", ["mpi", "dask", "loky"], ids="on {}".format)
def test_it_stops_in_time_and_resumes(backend, tmp_path):
    args = (*SLOW, "--checkpoint", str(tmp_path / "c.json"),
             "--backend", backend, "--n-jobs", "2")  # fmt: skip
    done = crossval("openmpi", 2, *args, "--seconds", "2")
    assert done.code == 75, done.err
    assert "fits left; run the same command to resume" in done.err
    lines = [f.read_bytes().count(b"\n") - 1 for f in tmp_path.rglob("journal.*")]
    done = crossval("openmpi", 2, *args)
    assert done.code == 0
    assert "fits           100" in done.out
    assert (f"{sum(lines)} of 100 fits are from" in done.out) == (sum(lines) > 0)


@pytest.mark.usefixtures("wanted")
def test_a_directory_of_another_problem_is_rejected(directory):
    args = ("--directory", str(directory), "--seed", "1")
    done = crossval("openmpi", 2, *SEARCH, *args)
    assert done.code == 65
    assert done.err.count("is of other data") == 1


@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        (("--folds", "1"), 2, "need at least 2 folds"),
        (("Forest",), 2, "expected MODULE:CLASS"),
        (("--data", "olives"), 65, "unknown data 'olives'"),
        (("sklearn.no:Such",), 2, "No module named"),
        (("--backend", "spark"), 2, "not one of"),
        (("--force-unlock",), 2, "no directory to unlock"),
    ],
)
def test_usage_errors_are_reported_once(args, code, reason):
    done = crossval("openmpi", 2, *args)
    assert done.code == code
    assert done.err.count(reason) == 1


def test_a_repeated_candidate_is_not_fitted_again_on_resume(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        "[fixed]\nn_estimators = 2\n[search]\nmax_depth = {low=1, high=2}\n"
    )
    args = (
        *DATA_ARGS,
        "--params",
        str(path),
        "--n-iter",
        "6",
        "--directory",
        str(tmp_path),
    )
    whole = values_of(crossval("openmpi", 1, *args, "--json", "-"))
    assert fits_in(tmp_path).total() == 24
    assert values_of(crossval("openmpi", 1, *args, "--json", "-")) == whole
    assert fits_in(tmp_path).total() == 24
