"""The farm as users start it: each task runs once, also after kills."""

import json
import signal
from functools import partial
from pathlib import Path

import pytest

from mpiapps.storage.journal import read
from tests.commands import LIMIT, MPIS, bin_directory, on_ranks, run
from tests.taskfarm.farms import FARM, started, until, values, write_list

pytestmark = pytest.mark.usefixtures("preloaded")


@pytest.fixture
def tasks(tmp_path):
    """Return a function that writes a list of tasks."""
    return partial(write_list, tmp_path / "tasks")


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_tasks_run_once_and_new_ones_are_added(tasks, tmp_path, ranks):
    lines = [f"echo {n} >> {tmp_path}/out.{n}" for n in range(6)]
    first = on_ranks("mpich", ranks, *FARM, tasks(*lines), "--json", "-")
    result = values(first)
    assert (result["tasks"], result["done"], result["now"]) == (6, 6, 6)
    again = values(on_ranks("mpich", ranks, *FARM, tasks(*lines), "--json", "-"))
    assert (again["done"], again["now"]) == (6, 0)
    new = f"echo new > {tmp_path}/new"
    edited = [*lines[3:], new, *lines[:2]]
    more = values(on_ranks("mpich", ranks, *FARM, tasks(*edited), "--json", "-"))
    assert (more["tasks"], more["done"], more["now"]) == (6, 6, 1)
    for n in range(6):
        assert (tmp_path / f"out.{n}").read_text() == f"{n}\n"


@pytest.mark.parametrize("mpi", MPIS)
def test_failures_of_tasks_do_not_affect_the_farm(tasks, mpi):
    path = tasks(
        "# exit codes, signals and limits",
        "exit 3",
        "kill -SEGV $$",
        "echo out; kill -KILL $$",
        "sleep 60 #: time=1s",
        "false #: retries=2",
        "trap '' TERM; kill -TERM $$; true",
        "cd / && echo fine",
        "echo \udcff",
        "env | grep -c '^OMPI_COMM\\|^PMI_' ; true",
    )
    result = values(on_ranks(mpi, 3, *FARM, path, "--json", "-"), code=3)
    assert (result["done"], result["failed"], result["remaining"]) == (4, 5, 0)
    records = read(Path(result["directory"], "journal")).records[1:]
    exits = {
        record["command"]: (record["code"], record["reason"]) for record in records
    }
    assert exits["exit 3"] == (3, "")
    assert exits["kill -SEGV $$"] == (-signal.SIGSEGV, "")
    assert exits["sleep 60"] == (-signal.SIGTERM, "time")
    assert sum(record["command"] == "false" for record in records) == 3
    failed = Path(result["directory"], "failed.txt").read_text().splitlines()
    assert sorted(failed) == sorted(
        [
            *("exit 3", "kill -SEGV $$", "echo out; kill -KILL $$"),
            *("sleep 60 #: time=1", "false #: retries=2"),
        ]
    )
    logs = Path(result["directory"], "logs")
    assert {path.read_bytes() for path in logs.iterdir()} == {
        *(b"", b"out\n", b"fine\n", b"\xff\n", b"0\n")
    }


def test_parameters(tmp_path):
    options = ["--directory", str(tmp_path / "farm"), "--json", "-"]
    argv = ["echo {x} {y}", "--param", "x=1:3", "--param", "y=a b,c"]
    result = values(on_ranks("mpich", 2, *FARM, *argv, *options))
    assert result["done"] == 6
    outputs = {path.read_text() for path in (tmp_path / "farm" / "logs").iterdir()}
    assert outputs == {f"{x} {y}\n" for x in (1, 2, 3) for y in ("a b", "c")}
    ended = on_ranks("mpich", 2, *FARM, "echo {x}", "--param", "y=1", *options)
    assert ended.code == 65
    assert ended.err.count("'echo {x}' has no {y}") == 1


@pytest.mark.parametrize("mpi", MPIS)
def test_task_can_be_an_mpi_program(tasks, mpi):
    program = "from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(1))"
    nested = (
        f"{bin_directory(mpi)}/mpiexec -n 2 {bin_directory(mpi)}/python -c '{program}'"
    )
    argv = [*FARM, tasks(f"{nested} #: cores=2"), "--json", "-"]
    result = values(
        on_ranks(mpi, 2, *argv, PRTE_MCA_rmaps_default_mapping_policy=":oversubscribe")
    )
    (log,) = Path(result["directory"], "logs").iterdir()
    assert "".join(log.read_text().split()) == "22"


def test_tasks_get_their_cores(tasks, tmp_path):
    path = tasks(
        *(f"echo +1 >> {tmp_path}/at; sleep 0.2; echo -1 >> {tmp_path}/at"
          f" #: cores={1 + n % 3}" for n in range(9)),
        "echo threads $OMP_NUM_THREADS #: cores=3",
    )  # fmt: skip
    result = values(on_ranks("mpich", 3, *FARM, path, "--json", "-"))
    assert result["done"] == 10
    outputs = {log.read_text() for log in Path(result["directory"], "logs").iterdir()}
    assert {"".join(sorted(text)) for text in outputs - {"threads 3\n"}} == {""}
    running = peak = 0
    for step in (tmp_path / "at").read_text().split():
        running += int(step)
        peak = max(peak, running)
    assert 2 <= peak <= 3
    ended = on_ranks("mpich", 2, *FARM, tasks("true", "true #: cores=3"))
    assert ended.code == 65
    assert "true: needs 3 cores, and the largest host has 2" in ended.err


def test_tasks_wait_for_others_and_at_barriers(tasks, tmp_path):
    out = tmp_path / "out"
    lines = [
        f"sleep 0.3; echo 1 >> {out} #: name=slow",
        f"echo 2 >> {out} #: after=slow name=fast",
        f"test -e {tmp_path}/fixed #: name=bad",
        f"echo 4 >> {out} #: after=fast,bad",
        "#: barrier",
        f"echo 5 >> {out}",
    ]
    argv = [*FARM, tasks(*lines), "--json", "-"]
    result = values(on_ranks("openmpi", 3, *argv), code=3)
    assert (result["done"], result["failed"], result["remaining"]) == (2, 3, 0)
    assert out.read_text() == "1\n2\n"
    failed = Path(result["directory"], "failed.txt").read_text()
    assert failed == "".join(
        f"{line}\n" for line in [lines[2], f"echo 4 >> {out} #: after=bad", *lines[4:]]
    )
    (tmp_path / "fixed").touch()
    result = values(on_ranks("openmpi", 3, *argv))
    assert (result["done"], result["now"]) == (5, 3)
    assert out.read_text() == "1\n2\n4\n5\n"
    ended = on_ranks("openmpi", 1, *argv, "--part", "1/2")
    assert ended.code == 65
    assert "run it without --part" in ended.err


def test_parts_cover_the_list(tasks, tmp_path):
    path = tasks(*(f"echo {n} >> {tmp_path}/out" for n in range(7)))
    for n in range(3):
        values(on_ranks("mpich", 1, *FARM, path, "--part", f"{n + 1}/3", "--json", "-"))
    assert sorted(map(int, (tmp_path / "out").read_text().split())) == list(range(7))
    ended = mpiapps("farm", "status", f"{path}.farm")
    assert f"{path}.farm: 7 of 7 tasks done" in ended.out
    assert mpiapps("farm", "verify", f"{path}.farm").code == 0


def test_plan(tasks):
    path = tasks(*["sleep 1"] * 400)
    ended = mpiapps("farm", "plan", path)
    assert (ended.code, "give --task-time" in ended.err) == (65, True)
    few = mpiapps("farm", "plan", path, "--task-time", "30s", "--cores", "8").out
    assert "pack" in few.splitlines()[1]
    command = f"mpiapps submit farm --nodes 1 --ranks-per-node 8 --time 33m -- {path}"
    assert few.splitlines()[-1] == command
    argv = ["--task-time", "5m", "--cores", "8", "--max-time", "30m", "--json"]
    many = json.loads(mpiapps("farm", "plan", path, *argv).out)
    assert [plan["name"] for plan in many] == ["chunks", "pack", "array"]
    assert many[0]["jobs"] == many[1]["nodes"] == 14
    long = mpiapps("farm", "plan", path, "--task-time", "2h", "--json").out
    assert json.loads(long)[0]["name"] == "array"
    script = mpiapps(
        "farm", "plan", path, "--task-time", "2h", "--scheduler", "slurm"
    ).out
    assert "#SBATCH --array=1-400" in script
    on_ranks("mpich", 2, *FARM, tasks(*["sleep 0.01"] * 20))
    assert mpiapps("farm", "plan", path).code == 0  # times from the journal


def test_stop_at_the_deadline_and_resume(tasks, tmp_path):
    path = tasks(*(f"sleep 0.3; echo {n} >> {tmp_path}/out" for n in range(20)))
    checkpoint = tmp_path / "checkpoint.json"
    argv = [*FARM, path, "--json", "-", "--checkpoint", str(checkpoint)]
    ended = on_ranks("mpich", 3, *argv, "--seconds", "2")
    assert ended.code == 75, ended.err
    assert "left; run the same command to resume" in ended.err
    assert json.loads(checkpoint.read_text())["stopped"] == 1
    started_tasks = len((tmp_path / "out").read_text().split())
    assert 0 < started_tasks < 20
    result = values(on_ranks("mpich", 3, *argv))
    assert (result["done"], result["now"]) == (20, 20 - started_tasks)
    assert sorted(map(int, (tmp_path / "out").read_text().split())) == list(range(20))
    assert not checkpoint.exists()


def test_running_tasks_are_stopped_at_the_deadline_without_failing(tasks, tmp_path):
    path = tasks(f"test -e {tmp_path}/again && exit; touch {tmp_path}/again; sleep 50")
    argv = [*FARM, path, "--checkpoint", str(tmp_path / "checkpoint.json")]
    ended = on_ranks("mpich", 2, *argv, "--seconds", "1", "--drain", "1s")
    assert ended.code == 75, ended.err
    assert ended.seconds < 20
    assert "0 tasks done, 0 failed and 1 left" in ended.err
    assert "0 failed, 1 left" in mpiapps("farm", "status", f"{path}.farm").out
    assert on_ranks("mpich", 2, *argv).code == 0


def test_retry_stopped_at_the_deadline_has_not_failed(tasks, tmp_path):
    mark = tmp_path / "again"
    path = tasks(f"test -e {mark} && sleep 50; touch {mark}; exit 1 #: retries=2")
    argv = [*FARM, path, "--checkpoint", str(tmp_path / "checkpoint.json")]
    ended = on_ranks("mpich", 2, *argv, "--seconds", "2", "--drain", "0s")
    assert ended.code == 75, ended.err


@pytest.mark.parametrize(
    ("lines", "argv", "code", "message"),
    [
        (["true"], ["--shell", "nosuchshell"], 78, "nosuchshell: no such program"),
        (["# all", "", "#: time=1s"], [], 65, "no tasks, only blank lines"),
        (["echo '\x1b[1m'; false"], [], 3, r"code 1: echo '\x1b[1m'; false (logs/"),
        ([f"false {'x' * 999}"], [], 3, f"exit code 1: false {'x' * 191}... (logs/"),
        (["true #: in=gone-*"], [], 3, "exit code 1 (no input gone-*): true"),
    ],
)
def test_errors_are_printed_once(tasks, lines, argv, code, message):
    ended = on_ranks("mpich", 2, *FARM, tasks(*lines), *argv)
    assert (ended.code, ended.err.count(message)) == (code, 1), ended.err


def test_list_in_the_run_directory_is_kept(tasks, tmp_path):
    path = Path(tasks("echo 1", "exit 2"))
    text = path.read_bytes()
    for _ in range(2):
        ended = on_ranks("mpich", 2, *FARM, str(path), "--directory", str(tmp_path))
        assert ended.code == 3, ended.err
        assert path.read_bytes() == text


def test_task_that_would_pass_the_deadline_does_not_start(tasks, tmp_path):
    path = tasks(f"touch {tmp_path}/long", f"touch {tmp_path}/short #: time=1s")
    argv = [path, "--time", "2h", "--checkpoint", str(tmp_path / "checkpoint.json")]
    ended = on_ranks("mpich", 2, *FARM, *argv, "--seconds", "600")
    assert ended.code == 75, ended.err
    assert "1 tasks done, 0 failed and 1 left" in ended.err
    assert (tmp_path / "short").exists()
    assert not (tmp_path / "long").exists()


def test_status_and_verify(tasks, tmp_path):
    path = tasks("echo 1", "exit 3", "sleep 9 #: time=1s", "echo 4")
    on_ranks("mpich", 3, *FARM, path)
    farm = f"{path}.farm"
    ended = mpiapps("farm", "status", farm)
    assert ended.code == 0, ended.err
    assert f"{farm}: 2 of 4 tasks done, 2 failed, 0 left\n" in ended.out
    assert "1 failed: exit code 3" in ended.out
    assert "1 failed: ended for time" in ended.out
    result = json.loads(mpiapps("farm", "status", farm, "--json").out)
    assert (result["starts"], result["attempts"], result["manager"]) == (1, 4, {})
    assert mpiapps("farm", "verify", farm).out == "all as in the journal\n"
    logs = sorted(Path(farm, "logs").iterdir(), key=lambda log: log.stat().st_size)
    logs[-1].write_text("something else   ")
    logs[0].unlink()
    ended = mpiapps("farm", "verify", farm)
    assert ended.code == 4
    assert f"logs/{logs[-1].name}: 17 bytes, recorded 2" in ended.out
    assert f"logs/{logs[0].name}: No such file" in ended.out
    ended = mpiapps("farm", "status", str(tmp_path / "gone"))
    assert ended.code == 74
    assert "No such file" in ended.err


def test_missing_output_is_a_failure(tasks, tmp_path):
    made = tmp_path / "made"
    path = tasks(
        f"echo 1 > {made} #: out={made}",
        f"cd {tmp_path}; echo 2 > two #: out=two cd={tmp_path}",
        "true #: out=nothing",
    )
    ended = on_ranks("mpich", 2, *FARM, path)
    assert ended.code == 3
    assert "exit code 1 (no output nothing: No such file or directory)" in ended.err
    rows = mpiapps("farm", "table", f"{path}.farm").out.splitlines()
    assert rows[0].startswith("task,attempt,code,reason,seconds,cpu,memory,host,at")
    assert len(rows) == 4
    assert mpiapps("farm", "verify", f"{path}.farm").code == 0
    made.write_text("3\n")
    (tmp_path / "two").unlink()
    ended = mpiapps("farm", "verify", f"{path}.farm")
    assert ended.code == 4
    assert f"{made}: its content has changed" in ended.out
    assert f"{tmp_path}/two: No such file" in ended.out


def mpiapps(*argv):
    return run([str(bin_directory("openmpi") / "mpiapps"), *argv])


def test_second_manager_is_refused(tasks, tmp_path):
    path = tasks(f"touch {tmp_path}/begun; sleep 5")
    job = started("mpich", 2, path)
    until((tmp_path / "begun").exists)
    ended = on_ranks("mpich", 2, *FARM, path)
    assert ended.code == 78
    assert "is locked by process" in ended.err
    job.communicate(timeout=LIMIT)
    assert job.returncode == 0
