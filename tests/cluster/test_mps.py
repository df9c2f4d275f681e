"""`submit --gpu-mps` on several hosts: a daemon on each while ranks run, none after."""

import json

import pytest

from tests.batch.test_mps import CONTROL
from tests.cluster.hosts import SCHEDULERS, SHARED, SRUN, mpiapps, on, until

# Prints whether the host of a rank has the daemon; waits while there is a file.
SCRIPT = """import json, os, time
pipes = os.environ["CUDA_MPS_PIPE_DIRECTORY"]
row = os.uname().nodename, os.path.exists(pipes + "/control")
with open("ranks", "a") as file:
    file.write(json.dumps(row) + "\\n")
while os.path.exists("stay"):
    time.sleep(0.2)
"""
SUBMIT = {"slurm": ["sbatch", "--parsable"], "sge": ["qsub", "-terse"]}
CANCEL = {"slurm": "scancel", "sge": "qdel"}
HOSTS = ["n1", "n2"]


def daemons():
    """Return the hosts that have a daemon: a `sleep` of its own duration."""
    return [host for host in HOSTS if on(host, "pgrep", "-fx", "sleep 600").out]


def lines(name):
    file = SHARED / name
    return file.read_text().splitlines() if file.exists() else []


def submitted(scheduler):
    """Submit a job on two hosts, without its request of GPUs: the hosts have none."""
    for name in ("ranks", "commands", "gpus", "daemon"):
        (SHARED / name).unlink(missing_ok=True)
    (SHARED / "logs").mkdir(exist_ok=True)
    (SHARED / "rank.py").write_text(SCRIPT)
    command = SHARED / "bin" / "nvidia-cuda-mps-control"
    command.parent.mkdir(exist_ok=True)
    command.write_text(CONTROL.replace("$PLACE", str(SHARED)))
    command.chmod(0o755)
    (SHARED / "stay").touch()
    site = SHARED / f"{scheduler}-gpus.toml"
    words = 'gpu_resource = "gpu"\nlaunch = ["env"]\n' if scheduler == "sge" else ""
    site.write_text(words + (SHARED / f"{scheduler}.toml").read_text())
    request = ["--nodes", "2", "--ranks-per-node", "2", "--nodelist", "n[1-2]"]
    request += ["--gpus", "2/node", "--gpu-mps", "--name", f"mps-{scheduler}"]
    request += ["--env", f"PATH={SHARED}/bin:/usr/bin:/bin"]
    request += SRUN if scheduler == "slurm" else []
    ended = mpiapps("render", "rank.py", "--site", str(site), *request)
    assert ended.code == 0, ended.err
    kept = [line for line in ended.out.splitlines() if "gpu" not in line[:20]]
    (SHARED / "mps.sh").write_text("\n".join(kept))
    ended = on("head", *SUBMIT[scheduler], "mps.sh")
    assert ended.code == 0, ended.err
    ranks = 4 if scheduler == "slurm" else 1
    until(lambda: len(lines("ranks")) == ranks, "ranks that have started")
    return ended.out.strip()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("cancelled", [False, True], ids=["ended", "cancelled"])
def test_each_host_has_a_daemon_until_the_job_ends(scheduler, cancelled):
    job = submitted(scheduler)
    assert daemons() == HOSTS
    assert all(json.loads(line)[1] for line in lines("ranks"))
    if cancelled:
        on("head", CANCEL[scheduler], job)
    (SHARED / "stay").unlink()
    until(lambda: not daemons(), "the end of the daemons")
    if not cancelled:  # Grid Engine kills all at once, which leaves a directory
        assert lines("commands")[-2:] == ["quit -t 10"] * 2
        for host in HOSTS:
            assert not on(host, "sh", "-c", f"ls -d /tmp/mpiapps-mps-*-{job}-*").out
