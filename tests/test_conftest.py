"""The rank tests' own harness: a suite with a failing rank ends, and says why."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.launch import ROOT, on_ranks

SUITES = {
    # rank 1 fails, and nobody waits for it: the other ranks alone would pass
    "late": "def test_it(comm):\n    comm.Barrier()\n    assert comm.rank != 1\n",
    # rank 1 fails before a collective that the other ranks sit in for ever
    "early": "def test_it(comm):\n    assert comm.rank != 1\n    comm.Barrier()\n",
    # rank 1 fails in the set-up of a test
    "setup": (
        "@pytest.fixture\ndef broken(comm):\n    assert comm.rank != 1\n"
        "def test_it(broken, comm):\n    comm.Barrier()\n"
    ),
    # rank 1 leaves the interpreter
    "exit": "def test_it(comm):\n    comm.rank == 1 and exit(5)\n    comm.Barrier()\n",
    # rank 1 waits for what never comes: only the test's time limit ends it
    "stuck": "def test_it(comm):\n    comm.rank == 1 and comm.recv(source=1)\n",
}


def run_suite(folder: Path, text: str):
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    header = "import pytest\npytestmark = pytest.mark.mpi\n"
    after = "def test_after(comm):\n    comm.Barrier()\n"
    (folder / "test_suite.py").write_text(header + text + after)
    words = ["-m", "pytest", "--with-mpi", "--color=no", "-p", "no:cacheprovider"]
    limits = ["--timeout=4", "--timeout-method=thread", "-o", "timeout_func_only=true"]
    words += [*limits, f"--junitxml={folder}/report.xml", str(folder)]
    return on_ranks("openmpi", 3, *words, MPIAPPS_TEST_GRACE="1")


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_with_a_failing_rank_ends_and_fails(tmp_path, suite):
    ended = run_suite(tmp_path, SUITES[suite])
    told = ended.out + ended.err
    assert ended.code != 0
    if suite == "stuck":
        assert "Timeout" in (tmp_path / "report-r1.log").read_text()
        return
    assert "[rank 1 of 3]" in told
    if suite in ("late", "setup"):  # the suite goes on
        assert "1 passed" in told
        assert "1 failed" in told or "1 error" in told
    reports = [ElementTree.parse(path) for path in tmp_path.glob("report-r*.xml")]
    counts = [
        int(r.find("testsuite").get(k)) for r in reports for k in ("failures", "errors")
    ]
    assert sum(counts) >= 1


def test_a_suite_that_passes_reports_per_rank_and_speaks_once(tmp_path):
    ended = run_suite(tmp_path, "def test_it(comm):\n    comm.Barrier()\n")
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.count("2 passed") == 1
    reports = sorted(path.name for path in tmp_path.glob("*.xml"))
    assert reports == ["report-r0.xml", "report-r1.xml", "report-r2.xml"]
