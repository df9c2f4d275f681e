"""Where a run records its tasks, and what it refuses without such a directory."""

import pytest

from mpiapps.app.context import RunContext
from mpiapps.base.errors import UsageError
from tests.fileops.runs import run_files

pytestmark = [pytest.mark.mpi, pytest.mark.one_mpi]


def test_a_lock_is_taken_only_of_a_directory(world, tmp_path):
    alone, saved = (
        RunContext.make(world, "pi", checkpoint=name)
        for name in ("", str(tmp_path / "saved"))
    )
    assert not alone.journal_directory("")
    assert alone.journal_directory("run", force_unlock=True) == "run"
    assert saved.journal_directory("", force_unlock=True).endswith(".tasks")
    with pytest.raises(UsageError, match=r"no directory to unlock.*--directory"):
        alone.journal_directory("", force_unlock=True)


def test_files_refuse_to_unlock_nothing(world, tmp_path):
    path = world.comm.bcast(str(tmp_path))
    if world.is_root:
        (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    world.comm.Barrier()
    with pytest.raises(UsageError, match="no directory to unlock"):
        run_files(world, "count", path, force_unlock=True)
    options = {"output_dir": f"{path}/out", "force_unlock": True}
    result = run_files(world, "convert", f"{path}/a.csv", **options)
    assert not world.is_root or result.values["records"] == 1
