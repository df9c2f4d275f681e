"""A scheduler and a launcher of another installed package: Flux and `flux run`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch.jobs import directives
from tests.commands import clean_environment, install, run

PACKAGE = Path(__file__).parent / "flux_package"
ENTRY_POINTS = """[mpiapps.schedulers]
flux = flux_scheduler:Flux

[mpiapps.launchers]
flux-run = flux_scheduler:FLUX_RUN
"""
ON_FLUX = ["--scheduler", "flux"]
# Runs a job at once, or keeps it in the queue if there is a file `busy`.
FLUX = """#!/bin/bash
command=$1
echo "$*" >>flux.calls
case $command in
batch)
    name=pi
    for word; do case $word in
        --env=*) export "${word#--env=}" ;;
        --output=*) output="${word#--output=}" ;;
    esac; done
    n=$(($(cat number 2>/dev/null || echo 40) + 1)); echo "$n" >number
    echo "f$n"
    output="${output//'{{name}}'/$name}"; output="${output//'{{id}}'/f$n}"
    if [ -e busy ]; then echo "f$n SCHED -" >>jobs; exit; fi
    FLUX_JOB_ID="f$n" bash "$word" >"$output" 2>&1 </dev/null
    code=$?
    [ "$code" = 0 ] && status=COMPLETED || status=FAILED
    echo "f$n $status $code" >>jobs ;;
jobs) cat jobs ;;
cancel) sed -i "s/^$2 SCHED/$2 CANCELED/" jobs ;;
esac
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install the package and a stub of flux; return how to run `mpiapps` with them."""
    site, directory, work = (tmp_path / name for name in ("site", "bin", "work"))
    shutil.copytree(PACKAGE, site)
    python_path = install(site, ENTRY_POINTS)
    for path in (directory, work):
        path.mkdir()
    (directory / "flux").write_text(FLUX)
    (directory / "flux").chmod(0o755)
    monkeypatch.chdir(work)

    def mpiapps(*words, path=f"{directory}:/usr/bin:/bin"):
        command = [sys.executable, "-m", "mpiapps", *words]
        return run(command, cwd=work, PYTHONPATH=python_path, PATH=path)

    info = site / "another-1.dist-info"
    mpiapps.site, mpiapps.info, mpiapps.bin = site, info, directory
    return mpiapps


def test_render(installed):
    shape = ["--nodes", "2", "--ranks-per-node", "3", "--threads", "4"]
    ended = installed("render", "pi", *ON_FLUX, *shape, "--time", "90m")
    assert ended.code == 0, ended.err
    assert directives(ended.out.replace("#flux:", "#flux")) == [
        *("--job-name=pi", "--nodes=2", "--nslots=6", "--cores-per-slot=4"),
        *("--time-limit=5400s", "--output=logs/pi-{{id}}.out"),
    ]
    library = installed.site / "flux.sh"
    assert f"--scheduler=flux --scheduler-library={library} " in ended.out
    ended = installed("render", "pi", *ON_FLUX, "--standalone")
    assert library.read_text() in ended.out
    assert "--scheduler-library" not in ended.out.rpartition("job_begin --sch")[2]
    refused = installed("render", "pi", *ON_FLUX, "--array", "1-3")
    assert (refused.code, "Flux has no job arrays" in refused.err) == (2, True)
    refused = installed("render", "pi", *ON_FLUX, "--directive=--output=x")
    assert "--output of flux batch is set by the script; use --logs" in refused.err


def test_a_job_from_its_submission_to_its_end(installed):
    ended = installed("submit", "pi", *ON_FLUX, "--json", "--", "--samples", "1e5")
    assert json.loads(ended.out) == {"id": "f41", "run": "logs/pi-1"}, ended.err
    (status,) = json.loads(installed("status", "pi-1", "--json").out)
    assert (status["state"], status["code"], status["id"]) == ("done", 0, "f41")
    assert "pi on 1 rank" in installed("logs", "f41").out
    record = json.loads(Path("logs/pi-1/record.json").read_text())
    assert record["finished"] is True
    Path("mine.py").write_text("raise SystemExit(3)\n")
    ended = installed("submit", "mine.py", *ON_FLUX, "--wait")
    assert (ended.code, "failed  3" in ended.out) == (3, True), ended.err


def test_cancel_a_pending_job(installed):
    Path("busy").touch()
    installed("submit", "pi", *ON_FLUX)
    (status,) = json.loads(installed("status", "--json").out)
    assert status["state"] == "pending"
    assert installed("cancel", "pi-1").out == "pi-1 cancelled\n"
    assert "cancel f41" in Path("flux.calls").read_text().splitlines()
    (status,) = json.loads(installed("status", "--json").out)
    assert status["state"] == "cancelled"


def test_a_dependency(installed):
    Path("busy").touch()
    installed("submit", "pi", *ON_FLUX)
    installed("submit", "pi", *ON_FLUX, "--dependency", "pi-1")
    call = Path("flux.calls").read_text().splitlines()[-1]
    assert "--dependency=afterany:f41 logs/pi-2/script.sh" in call


def test_the_next_job_of_a_chain(installed):
    """A checkpoint is saved: the shell functions of the package submit the next job."""
    text = installed("render", "pi", *ON_FLUX).out
    Path("job.sh").write_text(text.replace('"$mpiexec"', "bash save.sh"))
    Path("save.sh").write_text(
        'echo "{\\"stopped\\": $MPIAPPS_ATTEMPT}" >"$MPIAPPS_CHECKPOINT"; exit 75\n'
    )
    Path("busy").touch()
    variables = {"FLUX_JOB_ID": "f7", "PATH": f"{installed.bin}:/usr/bin:/bin"}
    ended = subprocess.run(
        ["bash", "job.sh"], env=clean_environment(**variables), check=False
    )
    assert ended.returncode == 75
    (directory,) = Path("logs").iterdir()
    call = Path("flux.calls").read_text().strip()
    assert "--dependency=afterany:f7 " in call
    assert call.endswith(f"{directory}/next.sh")
    library = (directory / "job_library.sh").read_text()
    assert library.endswith((installed.site / "flux.sh").read_text())
    (directory / "next.sh").rename("next.sh")
    installed.site.rename(installed.site.with_name("removed"))  # the copy is enough
    variables |= {"FLUX_JOB_ID": "f41", "MPIAPPS_RUN": directory.name}
    subprocess.run(["bash", "next.sh"], env=clean_environment(**variables), check=False)
    events = (directory / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in events] == [
        *("start", "requeue", "submit") * 2
    ]


def test_lint_and_explain(installed):
    Path("job.sh").write_text("#!/bin/bash\n#flux: -N2 -t 90\n#flux: --nods=1\ntrue\n")
    found = json.loads(installed("lint", "job.sh", "--json").out)
    assert [(one["line"], one["rule"]) for one in found] == [
        *((2, "flux-minutes"), (3, "not-accepted"))
    ]
    assert "flux batch has --nodes" in found[1]["text"]
    ended = installed("explain", "job.sh")
    assert "-N2: Hosts: 2." in ended.out
    assert "Time limit: 90; a plain number is in minutes." in ended.out
    rendered = installed("render", "pi", *ON_FLUX, "--threads", "2").out
    Path("logs").mkdir()
    Path("job.sh").write_text(rendered)
    assert installed("lint", "job.sh").out == "no problems\n"


def test_a_launcher(installed):
    words = ["--mpi", "mpich", "--launcher", "flux-run", "--nodes", "2"]
    ended = installed("render", "pi", *ON_FLUX, *words)
    assert ended.code == 0, ended.err
    assert "job_run flux run -N 2 -n 2 -c 1 \\\n" in ended.out
    assert "--mpiexec" not in ended.out
    ended = installed("render", "pi", "--scheduler", "slurm", *words)
    assert ended.code == 2
    assert "there is no flux-run under slurm; use --launcher mpiexec" in ended.err
    ended = installed(
        "render", "pi", *ON_FLUX, "--mpi", "impi", "--launcher", "flux-run"
    )
    assert "flux-run starts mpich; use --launcher mpiexec" in ended.err


def test_names_are_listed(installed):
    text = installed("render", "--help").out
    assert "slurm|sge|pbs|lsf|flux" in "".join(text.split())
    assert "srun-pmi2|flux-run" in "".join(text.split())
    Path("site.toml").write_text("scheduler = 'flux'\nlauncher = 'flux-run'\n")
    ended = installed("render", "pi", "--site", "./site.toml", "--mpi", "mpich")
    assert "job_run flux run" in ended.out, ended.err
    ended = installed("site", "probe", path=str(installed.bin))  # no other scheduler
    assert 'scheduler = "flux"' in ended.out


def test_a_package_that_cannot_be_imported(installed):
    text = ENTRY_POINTS + "none = nowhere:LAUNCHER\n"
    text = text.replace(
        "[mpiapps.launchers]", "gone = nowhere:Gone\n[mpiapps.launchers]"
    )
    (installed.info / "entry_points.txt").write_text(text)
    ended = installed("lint", "-")
    assert ended.code == 0
    assert "note: gone: nowhere:Gone cannot be loaded" in ended.err
    ended = installed("render", "pi", "--scheduler", "gone")
    assert ended.code == 78
    ended = installed("render", "pi", "--launcher", "none")
    assert ended.code == 78
    assert "nowhere:LAUNCHER cannot be loaded" in ended.err


def test_the_schedulers_of_mpiapps_are_not_replaced(installed):
    text = ENTRY_POINTS.replace("flux =", "slurm = flux_scheduler:Flux\nflux =")
    (installed.info / "entry_points.txt").write_text(text)
    ended = installed("render", "pi", "--scheduler", "slurm")
    assert "#SBATCH --job-name=pi" in ended.out.splitlines(), ended.err
