"""`submit --gpu-mps`: the script holds NVIDIA's MPS on each host while ranks run."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.base.processes import start_of
from tests.batch.jobs import SITES, script
from tests.batch.scripts import begin, events, run_script, stub
from tests.batch.test_stage import SRUN

pytestmark = pytest.mark.processes

# The control daemon: in the foreground, and as the client that sends it a command.
CONTROL = """#!/bin/bash
pipes="$CUDA_MPS_PIPE_DIRECTORY"
if [ "${1:-}" = -f ]; then
    echo "$CUDA_VISIBLE_DEVICES" >"$PLACE/gpus"
    echo "$$" >"$PLACE/daemon"
    echo "$pipes" >"$PLACE/pipes"
    echo "the reason" >"$pipes/control.log"
    echo "$$" >"$pipes/control"
    exec sleep 600
fi
read -r words
echo "$words" >>"$PLACE/commands"
[ ! -e "$PLACE/silent" ] || exec sleep 600
[ -e "$pipes/control" ] || exit 1
# Without -t it would end after its clients; a job ends it by -t before.
case $words in "quit -t"*) kill -KILL "$(cat "$pipes/control")" ;; esac
"""
# A rank, which looks at what it has got.
RANK = """pipes="$CUDA_MPS_PIPE_DIRECTORY"
printf '%s\\n' "$pipes" "$CUDA_VISIBLE_DEVICES" >"$PLACE/rank"
[ -e "$pipes/control" ] && kill -0 "$(cat "$PLACE/daemon")" || exit 9
"""
ASKED = {"gpus": "1/node", "gpu_mps": True, "launcher": "mpiexec"}
# By Slurm's step on each host, and on the only host of PBS.
SCHEDULERS = ["slurm", "pbs"]


@pytest.fixture
def place(tmp_path):
    for name, text in ("srun", f"#!/bin/bash\n{SRUN}\n"), ("mps", CONTROL):
        command = "nvidia-cuda-mps-control" if name == "mps" else name
        stub(tmp_path / "bin" / command, "").write_text(text)
    return tmp_path


def variables(place, **further):
    path = f"{place}/bin:{os.environ['PATH']}"
    return {"PLACE": str(place), "PATH": path, "SLURM_JOB_NUM_NODES": "1", **further}


def ended(place):
    """Return whether the daemon and its directory are gone; wait for the first."""
    pid, end = int((place / "daemon").read_text()), time.monotonic() + 60
    while start_of(pid) is not None and time.monotonic() < end:
        time.sleep(0.05)
    pipes = Path((place / "pipes").read_text().strip())
    while pipes.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return start_of(pid) is None and not pipes.exists()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("code", [0, 3])
def test_ranks_have_a_daemon_that_ends_with_them(place, scheduler, code):
    text = script(scheduler, **ASKED)
    act = f"{RANK} exit {code}"
    done = run_script(place, text, act, scheduler, **variables(place))
    # pi has written no record: 70 without a failure
    assert done.returncode == (code or 70), done.stderr
    assert ended(place)
    assert (place / "commands").read_text().splitlines()[-1] == "quit -t 10"


@pytest.mark.parametrize(
    ("gpus", "seen"), [("2,3", "0,1"), ("5", "0"), ("GPU-ab,GPU-cd", "GPU-ab,GPU-cd")]
)
def test_ranks_number_the_gpus_as_the_daemon_does(place, gpus, seen):
    text, known = script("pbs", **ASKED), variables(place, CUDA_VISIBLE_DEVICES=gpus)
    run_script(place, text, f"{RANK} exit 0", "pbs", **known)
    assert (place / "gpus").read_text().strip() == gpus
    assert (place / "rank").read_text().splitlines()[1] == seen


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("start", [True, False], ids=["start", "end"])
def test_a_daemon_that_does_not_answer_is_killed(place, scheduler, start):
    text = script(scheduler, **ASKED)
    limits = "mps_start=30 mps_answer=5 mps_end=15"
    assert text.count(limits) == 1
    text = text.replace(limits, "mps_start=2 mps_answer=1 mps_end=1")
    if start:
        (place / "silent").touch()
    act = f'{RANK} touch "$PLACE/silent"; exit 3'
    done = run_script(place, text, act, scheduler, **variables(place))
    assert done.returncode == (78 if start else 3), done.stderr
    assert ("does not answer" in done.stderr) == start
    assert "the reason" in done.stderr
    assert (place / "rank").exists() != start
    assert ended(place)


# Some schedulers signal the script alone, others every process of the job.
ENDS = [
    *((scheduler, os.kill, signal.SIGTERM) for scheduler in SCHEDULERS),
    *((scheduler, os.kill, signal.SIGKILL) for scheduler in SCHEDULERS),
    ("pbs", os.killpg, signal.SIGTERM),
]


@pytest.mark.parametrize(("scheduler", "kill", "number"), ENDS)
def test_a_script_that_is_ended_leaves_no_daemon(place, scheduler, kill, number):
    """Ranks that save at SIGTERM still have it; a killed script is missed."""
    save = """kill -0 "$(cat "$PLACE/daemon")" && touch "$PLACE/saved"; exit 1"""
    act = f"{RANK} trap '{save}' TERM; sleep 60 & echo $! >\"$PLACE/up\"; wait"
    stub(place / ".venv" / "bin" / "mpiexec", act)
    stub(place / ".venv" / "bin" / "python", "exit 0")
    text = script(scheduler, **ASKED)
    with begin(place, text, scheduler, variables(place)) as process:
        while not (place / "up").exists() or not (place / "up").read_text():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        kill(process.pid, number)
        process.wait(60)
        assert ended(place)
        with suppress(ProcessLookupError):  # a killed script ends no rank
            os.kill(int((place / "up").read_text()), signal.SIGKILL)
        assert (place / "saved").exists() == (number == signal.SIGTERM)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_host_without_it_ends_the_job_before_the_ranks(place, scheduler):
    (place / "bin" / "nvidia-cuda-mps-control").unlink()
    text = script(scheduler, **ASKED)
    done = run_script(place, text, f"{RANK} exit 0", scheduler, **variables(place))
    assert done.returncode == 78
    assert "has no nvidia-cuda-mps-control" in done.stderr
    assert not (place / "rank").exists()
    assert [event["code"] for event in events(place)] == [0, 78]


def test_lsf_starts_it_itself_and_only_for_gpus():
    text = script("lsf", **ASKED)
    assert ":mps=yes" in text
    assert "job_mps" not in text
    with pytest.raises(UsageError, match="the job requests no GPUs to share"):
        script("slurm", gpu_mps=True)


ISOLATING = ("gpus-per-task", "gpu-bind", "tres-per-task", "/task", "ntasks-per-gpu")


@pytest.mark.parametrize("scheduler", SITES)
@pytest.mark.parametrize("gpus", ["2", "a100:2", "8/node", "a100:8/node"])
def test_no_job_isolates_the_gpus_of_a_host_per_rank(scheduler, gpus):
    """CUDA IPC and NCCL copy directly only between devices that both ranks see."""
    text = script(scheduler, nodes=2, ranks_per_node=4, gpus=gpus)
    request = [line for line in text.splitlines() if "8" in line or "gpu" in line]
    assert request
    assert not [word for word in ISOLATING if word in text]
