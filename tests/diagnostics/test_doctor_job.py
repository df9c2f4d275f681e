"""`mpiapps doctor --job` under a scheduler of one host, which runs a job at once."""

import json
import sys

import pytest

from tests.batch.test_commands import SBATCH, SQUEUE
from tests.commands import ROOT, run


@pytest.fixture
def doctor(tmp_path):
    for name, text in {"sbatch": SBATCH, "squeue": SQUEUE}.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        # The name of a run is that of its program.
        path.write_text(text.replace("pi-41", "doctor-41"))
        path.chmod(0o755)

    def start(*words, **variables):
        environ = {
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            **variables,
        }
        command = [sys.executable, "-m", "mpiapps", "doctor", "--job", *words]
        return run([*command, "--limit", "60"], cwd=tmp_path, **environ)

    return start


def test_a_submitted_job_is_waited_for_and_printed(doctor, tmp_path):
    ended = doctor("--json", "--time", "5m")
    assert ended.code == 0, ended.out + ended.err
    assert "doctor-1 submitted" in ended.err
    record = json.loads(ended.out)
    assert record["program"] == "doctor"
    assert len(record["values"]["placement"]) == 1
    assert (tmp_path / "logs" / "doctor-1" / "record.json").exists()


def test_a_host_with_an_error_submits_no_job(doctor, tmp_path):
    ended = doctor(TMPDIR="/no/tmp")
    assert ended.code == 78
    assert "tmpdir: no file can be created in TMPDIR=/no/tmp" in ended.out
    assert "no job was started" in ended.err
    assert not (tmp_path / "logs").exists()


def test_a_job_without_a_report_shows_its_output(doctor, tmp_path):
    ended = doctor("--python", f"{tmp_path}/none/python")
    assert ended.code == 78
    assert "without a report" in ended.err
    assert "no " in ended.err
