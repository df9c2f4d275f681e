"""`mpiapps scaling --allocation one`: all runs as steps of one job of this host."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mpiapps.batch.lint import lint
from tests.scaling.cluster_here import release, submissions

# Each run writes the hosts that it was started on to a list.
SCRIPT = """import os, sys, time
nodes = os.environ["NODES"]
with open("starts", "a") as starts:
    print(nodes, os.environ["OMP_NUM_THREADS"], os.environ["MPIAPPS_NTASKS"],
          file=starts)
if nodes in sys.argv[1:]:
    print("broken on", nodes)
    sys.exit(7)
time.sleep(1.1)
"""


def study(cluster, *words, broken="none", limit="5m"):
    """Run a study of the script, which fails on `broken` hosts."""
    (cluster.path / "script.py").write_text(SCRIPT)
    if "--nodes" not in words:
        words = ("--nodes", "1,2", *words)
    return cluster.mpiapps(
        "scaling", "script.py", "--site", "plain.toml", "--allocation", "one",
        "--time", limit, "--repeats", "2", "--format", "json", *words, "--", broken,
    )  # fmt: skip


def starts(cluster):
    return [line.split() for line in (cluster.path / "starts").read_text().splitlines()]


def nodes_of(ended):
    return sorted(m["case"]["nodes"] for m in json.loads(ended.out)["measurements"])


def directory(cluster):
    """Return the directory of the last job."""
    return sorted((cluster.path / "script.scaling" / "runs").glob("*/*-allocation-*"))[
        -1
    ]


def test_all_runs_are_steps_of_a_job_as_large_as_the_largest(cluster):
    words = ["--ranks-per-node", "2", "--threads", "1,3", "--repeats", "1"]
    ended = study(cluster, *words)
    assert ended.code == 0, ended.out + ended.err
    assert "1 job submitted with 4 runs" in ended.err
    assert nodes_of(ended) == [1, 1, 2, 2]
    lines = (directory(cluster) / "script.sh").read_text().splitlines()
    assert "#SBATCH --nodes=2" in lines
    assert "#SBATCH --ntasks-per-node=2" in lines
    assert "#SBATCH --cpus-per-task=3" in lines
    assert sorted(starts(cluster)) == [
        ["1", "1", "2"],
        ["1", "3", "2"],
        ["2", "1", "4"],
        ["2", "3", "4"],
    ]
    again = study(cluster, *words)
    assert again.out == ended.out
    assert submissions(cluster) == 1
    more = study(cluster, "--nodes", "1,2,3", *words)
    assert "1 job submitted with 2 runs" in more.err
    assert nodes_of(more) == [1, 1, 2, 2, 3, 3]


def test_records_of_steps_are_collected(cluster):
    ended = cluster.mpiapps(
        "scaling", "amdahl", "--site", "site.toml", "--nodes", "1,2", "--time", "5m",
        "--repeats", "1", "--allocation", "one", "--format", "json", "--", "--work",
        "0.4",
    )  # fmt: skip
    assert ended.code == 0, ended.out + ended.err
    one, two = json.loads(ended.out)["rows"]
    assert (one["ranks"], two["ranks"]) == (1, 2)
    assert 0.2 < two["seconds"]["value"] < one["seconds"]["value"]
    assert two["pop"]["load_balance"] > 0


def test_a_failed_case_ends_neither_the_others_nor_runs_twice(cluster):
    ended = study(cluster, broken="1")
    assert ended.code == 3, ended.out + ended.err
    assert "1 node x 1 rank: 1n1r1t-" in ended.err
    assert "failed with exit code 7" in ended.err
    assert "  broken on 1\n" in ended.err
    assert nodes_of(ended) == [2, 2]
    assert [nodes for nodes, *_ in starts(cluster)].count("1") == 1
    again = study(cluster, broken="1")  # the same command makes the failed runs
    assert again.code == 3
    assert [nodes for nodes, *_ in starts(cluster)].count("1") == 2
    assert [nodes for nodes, *_ in starts(cluster)].count("2") == 2
    assert submissions(cluster) == 2


def test_a_job_that_stops_before_its_limit_is_continued_by_the_next(cluster):
    # The margin before the limit is 58 s: the deadline is 2 s after the start.
    ended = study(cluster, "--signal-delay", "58s", limit="1m")
    assert ended.code == 75, ended.err
    assert "script-allocation-1 has stopped after" in ended.err
    assert "the same command submits the others" in ended.err
    left = 4 - len(starts(cluster))
    assert left > 0
    again = study(cluster)
    assert again.code == 0, again.err
    assert f"1 job submitted with {left} runs" in again.err
    assert nodes_of(again) == [1, 1, 2, 2]
    assert len(starts(cluster)) == 4


def test_a_step_that_a_signal_stops_is_no_failure_and_runs_again(cluster):
    (cluster.path / "hold").touch()
    for _ in range(2):
        assert "1 jobs have not ended" in study(cluster, "--no-wait").err
    assert submissions(cluster) == 1
    job = subprocess.Popen(
        ["bash", "queue/41.sh"], cwd=cluster.path, start_new_session=True
    )
    until((cluster.path / "starts").exists)
    os.killpg(job.pid, signal.SIGTERM)
    job.wait(60)
    until(lambda: '"end"' in (directory(cluster) / "events.jsonl").read_text())
    (cluster.path / "queue" / "41.state").write_text("41|N/A|FAILED|19200|None|\n")
    (cluster.path / "hold").unlink()
    ended = study(cluster)
    assert ended.code == 0, ended.err
    assert "script-allocation-1 found from before" in ended.err
    assert "1 job submitted with 4 runs" in ended.err
    assert nodes_of(ended) == [1, 1, 2, 2]
    assert len(starts(cluster)) == 5


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def killed_step(last):
    """Make the last step of a job one that did not end; return its directory."""
    step = last / "2n2r1t-1"
    for one in (step, last):
        lines = (one / "events.jsonl").read_text().splitlines(keepends=True)
        kept = [line for line in lines if '"end"' not in line]
        (one / "events.jsonl").write_text("".join(kept))
    return step


def test_a_job_that_starts_again_leaves_out_what_is_done(cluster):
    assert study(cluster).code == 0
    assert sorted(starts(cluster)[:2]) == [["1", "1", "1"], ["2", "1", "2"]]
    last = directory(cluster)
    step = killed_step(last)
    release(cluster)
    assert len(starts(cluster)) == 5
    assert starts(cluster)[-1][0] == "2"
    assert '"end"' in (step / "events.jsonl").read_text()


def test_a_step_that_would_not_end_before_the_limit_is_left_to_the_next_job(cluster):
    assert study(cluster).code == 0
    last = directory(cluster)
    killed_step(last)
    (start, end) = (last / "2n2r1t-0" / "events.jsonl").read_text().splitlines()
    seconds = int(json.loads(start)["time"])
    longer = start.replace(f'"time": {seconds}', f'"time": {seconds - 1000}')
    (last / "2n2r1t-0" / "events.jsonl").write_text(f"{longer}\n{end}\n")
    release(cluster)
    assert len(starts(cluster)) == 4
    log = "".join(path.read_text() for path in last.glob("*.out"))
    assert "step 2n2r1t-1: left to the next job: another took 100" in log
    assert '"code": 75' in (last / "events.jsonl").read_text().splitlines()[-1]


def test_a_job_that_launches_nothing_is_an_error_with_its_output(cluster):
    (cluster.path / "plain.toml").write_text(
        'scheduler = "slurm"\nlaunch = ["env"]\nbefore_run = ["echo gone; false"]\n'
    )
    ended = study(cluster)
    assert ended.code == 3
    assert "script-allocation-1: failed with exit code 78" in ended.err
    assert "  gone\n" in ended.err
    assert submissions(cluster) == 1


def test_the_script_is_printed_and_clean_for_shellcheck_and_lint(cluster):
    (cluster.path / "logs").mkdir()
    ended = study(cluster, "--dry-run")
    assert ended.code == 0
    check = str(Path(sys.executable).parent / "shellcheck")
    checked = subprocess.run(
        [check, "-"], input=ended.out, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    assert lint(ended.out, cluster.path) == []
    assert submissions(cluster) == 0


def test_a_step_of_srun_names_its_hosts(cluster):
    (cluster.path / "plain.toml").write_text('scheduler = "slurm"\n')
    ended = study(cluster, "--dry-run", "--launcher", "srun", "--mpi", "openmpi")
    for nodes in (1, 2):
        assert f"--ntasks={nodes} --ntasks-per-node=1" in ended.out
        assert f"--nodes={nodes} \\\n" in ended.out
