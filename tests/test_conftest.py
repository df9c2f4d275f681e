"""The harness of rank tests: a suite with a failing rank ends with a report."""

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.commands import ROOT, on_ranks

SUITES = {
    # rank 1 fails after all collectives: the other ranks would pass
    "late": "def test_it(comm):\n    comm.Barrier()\n    assert comm.rank != 1\n",
    # rank 1 fails before a collective in which the other ranks are blocked
    "early": "def test_it(comm):\n    assert comm.rank != 1\n    comm.Barrier()\n",
    # rank 1 fails in the set-up of a test
    "setup": (
        "@pytest.fixture\ndef broken(comm):\n    assert comm.rank != 1\n"
        "def test_it(broken, comm):\n    comm.Barrier()\n"
    ),
    # rank 1 exits
    "exit": "def test_it(comm):\n    comm.rank == 1 and exit(5)\n    comm.Barrier()\n",
    # rank 1 is blocked until the time limit of the test
    "stuck": "def test_it(comm):\n    comm.rank == 1 and comm.recv(source=1)\n",
}


def run_suite(directory: Path, text: str):
    shutil.copy(ROOT / "tests" / "conftest.py", directory)
    header = "import pytest\npytestmark = pytest.mark.mpi\n"
    after = "def test_after(comm):\n    comm.Barrier()\n"
    (directory / "test_suite.py").write_text(header + text + after)
    argv = ["-m", "pytest", "--with-mpi", "--color=no", "-p", "no:cacheprovider"]
    limits = ["--timeout=2", "--timeout-method=thread", "-o", "timeout_func_only=true"]
    argv += [*limits, f"--junitxml={directory}/report.xml", str(directory)]
    return on_ranks("openmpi", 3, *argv, MPIAPPS_TEST_GRACE="1")


@pytest.mark.parametrize("suite", SUITES)
def test_suite_with_a_failing_rank_ends_and_fails(tmp_path, suite):
    ended = run_suite(tmp_path, SUITES[suite])
    output = ended.out + ended.err
    assert ended.code != 0
    if suite == "stuck":
        assert "Timeout" in (tmp_path / "report-r1.log").read_text()
        return
    assert "[rank 1 of 3]" in output
    if suite in ("late", "setup"):  # the suite continues
        assert "1 passed" in output
        assert "1 failed" in output or "1 error" in output
    reports = [ElementTree.parse(path) for path in tmp_path.glob("report-r*.xml")]
    counts = [
        int(r.find("testsuite").get(k)) for r in reports for k in ("failures", "errors")
    ]
    assert sum(counts) >= 1


def test_passing_suite_reports_per_rank_and_prints_once(tmp_path):
    ended = run_suite(tmp_path, "def test_it(comm):\n    comm.Barrier()\n")
    assert ended.code == 0, ended.out + ended.err
    assert ended.out.count("2 passed") == 1
    reports = sorted(path.name for path in tmp_path.glob("*.xml"))
    assert reports == ["report-r0.xml", "report-r1.xml", "report-r2.xml"]
