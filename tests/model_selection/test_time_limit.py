"""A fit that hangs or crashes fails alone, on any backend."""

import csv
import io

import pytest

from tests.commands import on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")

SPACE = '[search]\nact = ["", "hang", "crash"]\n'


# Threads, and processes of three kinds: ranks, of loky, and daemons of Dask.
@pytest.mark.parametrize(
    ("size", "backend"), [(3, "mpi"), (2, "dask"), (1, "loky"), (1, "threading")]
)
def test_a_fit_with_a_time_limit_fails_alone(size, backend, tmp_path):
    (tmp_path / "space.toml").write_text(SPACE)
    fits = tmp_path / "fits.csv"
    command = ["-m", "mpiapps.crossval", "tests.model_selection.stuck:Stuck"]
    data = ["--data", "iris", "--folds", "2", "--params", str(tmp_path / "space.toml")]
    search = ["--n-iter", "3", "--time", "2s", "--backend", backend, "-o", str(fits)]
    ended = on_ranks("openmpi", size, *command, *data, *search)
    assert ended.code == 3, ended.err
    rows = list(csv.DictReader(io.StringIO(fits.read_text())))
    assert len(rows) == 6
    for row in rows:
        expected = {"hang": "time limit of 2 s", "crash": "SIGSEGV", "": ""}
        assert expected[row["act"]] in row["reason"]
        assert bool(row["reason"]) == bool(row["act"])
