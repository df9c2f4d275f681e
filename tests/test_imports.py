"""What a rank imports: each module costs every rank time, memory and file accesses."""

import sys

import numpy as np
import pytest

from tests.commands import ROOT, run

HEAVY = {"numba", "scipy.linalg", "numpy.f2py", "unittest", "pandas", "asyncio"}
PRELUDE = "import atexit, runpy, sys\n"
WRITE = "atexit.register(lambda: sys.stderr.write(f'{[*sys.modules]}'))\n"
RUN = "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)\n"


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        ("farm tasks.txt", set()),
        ("amdahl --work 0.01", set()),
        ("doctor --copy 1MiB", set()),
        ("matrix multiply a.npy a.npy --check", set()),
        ("matrix gram a.npy", set()),
        ("matrix transpose a.npy -o b.npy", set()),
        ("pi --samples 1e5", {"numba"}),
        ("files count tasks.txt", {"numba"}),
        ("tips trips.parquet", {"numba"}),
    ],
)
def test_a_program_imports_only_the_heavy_modules_that_it_needs(
    tmp_path, words, needed
):
    np.save(tmp_path / "a.npy", np.eye(3))
    (tmp_path / "tasks.txt").write_text("true\n")
    if "parquet" in words:
        pa = pytest.importorskip("pyarrow")
        from pyarrow import parquet

        names = "tip_amount", "fare_amount", "payment_type"
        table = pa.table({name: np.ones(3) for name in names})
        parquet.write_table(table, tmp_path / "trips.parquet")
    program, *args = words.split()
    code = PRELUDE + WRITE + RUN
    command = [sys.executable, "-c", code, f"mpiapps.{program}", *args]
    ended = run(command, cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert ended.code == 0, ended.err
    assert {name for name in HEAVY if f"'{name}'" in ended.err} == needed
