"""A job's log and `mpiapps status` show what a run has used of what it asked for."""

import json

import pytest

from mpiapps.cli import main
from tests.batch.jobs import script
from tests.batch.scripts import run_script

MIB, GIB = 2**20, 2**30
ACT = """exec >"$MPIAPPS_RECORD"
printf '{{"usage": {{"cpu_seconds": {cpu}, "peak_memory": {peak}'
echo ', "ranks": []}}, "exit_code": {code}, "finished": true}}'
exit {code}"""


def ended(place, cpu, peak, code=0, **asked):
    act = ACT.format(cpu=cpu, peak=peak, code=code)
    asked = {"ranks_per_node": 2, "threads": 2, **asked}
    return run_script(place, script("slurm", **asked), act)


@pytest.mark.parametrize(
    ("peak", "asked", "fits"),
    [
        (200 * MIB, {"memory": 4 * GIB, "time": 3600}, " --memory 256MiB --time 2m"),
        (1100 * MIB, {"memory": 8 * GIB, "time": 120}, " --memory 2GiB"),
        (3 * GIB, {"memory": 4 * GIB, "time": 200}, ""),
        (GIB, {"time": 200}, ""),
    ],
)
def test_the_request_that_would_have_fitted(tmp_path, capsys, peak, asked, fits):
    done = ended(tmp_path, 3.0, peak, **asked)
    assert done.returncode == 0, done.stderr
    of_asked = f" of {asked['memory'] // GIB}.0 GiB" if "memory" in asked else ""
    used = f"{peak / GIB:.1f} GiB" if peak >= GIB else f"{peak // MIB} MiB"
    start = f" % of 4 cores; memory {used}{of_asked} per rank; time "
    assert done.stderr.startswith("mpiapps: CPU efficiency ")
    assert start in done.stderr
    request = f"; would have fitted:{fits}" if fits else ""
    limit = {3600: "1 h 0 m", 120: "2 m 0 s", 200: "3 m 20 s"}[asked["time"]]
    assert done.stderr.endswith(f" s of {limit}{request}\n")
    argv = ["status", "pi-job7", "--logs", str(tmp_path / "logs")]
    assert main(argv) == 0
    text = done.stderr.removeprefix("mpiapps: ")
    assert capsys.readouterr().out.endswith(f"\npi-job7: {text}")
    assert main([*argv, "--json"]) == 0
    (status,) = json.loads(capsys.readouterr().out)
    assert status["usage"] == text.strip()


def test_efficiency_is_that_of_all_cores(tmp_path):
    done = ended(tmp_path, 3600.0, GIB, code=3)
    assert done.returncode == 3
    percent = float(done.stderr.split()[3])
    assert 90000 >= percent > 1000  # of 4 cores, for 1 s if the host is idle


def test_a_record_without_usage_has_no_line(tmp_path):
    act = """echo '{"exit_code": 0, "finished": true}' >"$MPIAPPS_RECORD\""""
    assert run_script(tmp_path, script("slurm"), act).stderr == ""
