"""An operation of another package is found by its entry point."""

import json

import pytest

from tests.commands import install, on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")
OPERATION = """
from mpiapps.fileops.operation import Operation

class Sizes(Operation):
    def execute(self, segment):
        return segment.size

def sizes(run):
    results = run.execute(Sizes())
    return {"total": sum(results.values)}, [f"{n}\\n" for n in results.values]
"""


def test_an_operation_of_another_package(tmp_path):
    entry = "[mpiapps.file_operations]\nsizes = mine:sizes\n"
    path = install(tmp_path / "site", entry, mine=OPERATION)
    for n in range(5):
        (tmp_path / f"{n}.txt").write_text("x" * n)
    files = [str(tmp_path / f"{n}.txt") for n in range(5)]
    argv = ["-m", "mpiapps.files", "sizes", *files, "--json", "-"]
    done = on_ranks("mpich", 2, *argv, "--output", str(tmp_path / "o"), PYTHONPATH=path)
    assert done.code == 0, done.err
    assert json.loads(done.out)["values"]["total"] == 10
    assert (tmp_path / "o").read_text().split() == ["0", "1", "2", "3", "4"]
    done = on_ranks("mpich", 1, "-m", "mpiapps.files", "--help", PYTHONPATH=path)
    assert "sizes" in done.out
