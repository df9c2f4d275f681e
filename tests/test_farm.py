"""The farm as users start it: each task runs once, also after kills."""

import json
import os
import random
import signal
import subprocess
import time
import zlib
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from mpiapps.storage.journal import read
from tests.commands import LIMIT, MPIS, ROOT, clean_environment, folder, on_ranks, run

FARM = ("-m", "mpiapps.farm")
FAULTS = "MPIAPPS_FAULTS" in os.environ  # long lists and many kills


@pytest.fixture
def tasks(tmp_path):
    """Return a function that writes a list of tasks."""

    def write(*lines):
        path = tmp_path / "tasks"
        path.write_bytes(b"\n".join(os.fsencode(line) for line in lines))
        return str(path)

    return write


def values(ended, code=0):
    assert ended.code == code, ended.err
    return json.loads(ended.out)["values"]


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
    nested = f"{folder(mpi)}/mpiexec -n 2 {folder(mpi)}/python -c '{program}'"
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


def test_tasks_of_a_killed_helper_are_run_again(tasks, tmp_path):
    out = tmp_path / "out"
    path = tasks(*(f"sleep 0.3; echo {n} >> {out}" for n in range(12)))
    job = started("mpich", 3, path, OWNER=str(tmp_path))
    until(out.exists)
    for pid in running("mpiapps.taskfarm.helper"):
        if str(tmp_path) in Path(f"/proc/{pid}/environ").read_text():
            kill(pid)
    _, err = job.communicate(timeout=LIMIT)
    assert job.returncode == 0, err
    counts = Counter(out.read_text().split())
    assert len(counts) == 12
    # Running tasks were killed with it; one may have ended just before.
    assert sum(counts.values()) <= 13


def test_task_that_kills_its_helper_fails_alone(tasks):
    others = [f"sleep 0.3; echo {n}" for n in range(8)]
    path = tasks(*others[:3], "kill -9 $PPID", *others[3:])
    result = values(on_ranks("mpich", 3, *FARM, path, "--json", "-"), code=3)
    assert (result["done"], result["failed"], result["remaining"]) == (8, 1, 0)
    failed = Path(result["directory"], "failed.txt").read_text()
    assert failed.startswith("kill -9 $PPID")


@pytest.mark.parametrize(
    ("lines", "argv", "code", "message"),
    [
        (["true"], ["--shell", "nosuchshell"], 78, "nosuchshell: no such program"),
        (["# all", "", "#: time=1s"], [], 65, "no tasks, only blank lines"),
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
    return run([str(folder("openmpi") / "mpiapps"), *argv])


def test_second_manager_is_refused(tasks, tmp_path):
    path = tasks(f"touch {tmp_path}/begun; sleep 5")
    job = started("mpich", 2, path)
    until((tmp_path / "begun").exists)
    ended = on_ranks("mpich", 2, *FARM, path)
    assert ended.code == 78
    assert "is locked by process" in ended.err
    job.communicate(timeout=LIMIT)
    assert job.returncode == 0


def in_mount_namespace(script, *argv, **variables):
    """Run a shell script that may mount, with the farm's command as its arguments."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", "--mount", *own, "sh", "-c", script, "sh"]
    command += [folder("mpich") / "python", ROOT / "scripts" / "on_ranks.py", "3"]
    texts = {name: str(value) for name, value in variables.items()}
    return run([*map(str, [*command, *FARM, *argv])], **texts)


def test_resume_after_a_full_disk(tasks, tmp_path):
    disk, errors = tmp_path / "disk", tmp_path / "errors"
    disk.mkdir()
    path = tasks(*(f"head -c 20000 /dev/zero; exit {n % 2}" for n in range(60)))
    script = """
        mount -t tmpfs -o size=200k tmpfs "$DISK" || exit 99
        "$@" 2>"$ERRORS"
        echo $?
        mount -o remount,size=10m "$DISK"
        "$@" 2>>"$ERRORS"
        echo $? $(grep -c . "$DISK/failed.txt") $(ls "$DISK/logs" | wc -l)
    """
    argv = [path, "--directory", disk]
    ended = in_mount_namespace(script, *argv, DISK=disk, ERRORS=errors)
    codes = [line.split() for line in ended.out.splitlines() if line[0].isdigit()]
    assert [fields[0] for fields in codes] == ["74", "3"], (ended, errors.read_text())
    assert codes[1][1] == "30"
    assert "No space left on device; its content is intact" in errors.read_text()


@pytest.mark.timeout(1200)
def test_kills_and_full_disk_lose_no_task(tasks, tmp_path):
    count, kills = (400, 100) if FAULTS else (40, 4)
    disk, out, errors = (tmp_path / name for name in ("disk", "out", "errors"))
    disk.mkdir()
    out.mkdir()
    log = f"head -c 3000 /dev/zero; sleep 0.05; echo >> {out}"
    path = tasks(*(f"{log}/{n}" for n in range(count)))
    script = """
        size=60
        mount -t tmpfs -o size=${size}k tmpfs "$DISK" || exit 99
        for delay in $DELAYS $(yes 60 | head -n 200); do
            timeout -s KILL "$delay" "$@" >/dev/null 2>>"$ERRORS"
            code=$?
            echo $code
            [ $code = 0 ] && break
            # Until the ranks of a killed launcher have ended, they hold the lock.
            [ $code = 78 ] && sleep 0.2
            [ $code = 74 ] && size=$((size + 20))
            mount -o "remount,size=${size}k" "$DISK"
        done
    """
    rng = random.Random(count)
    delays = " ".join(f"{rng.uniform(0.8, 2):.2f}" for _ in range(kills))
    argv = [path, "--directory", disk, "--retries", "0"]
    ended = in_mount_namespace(script, *argv, DISK=disk, ERRORS=errors, DELAYS=delays)
    codes = Counter(ended.out.split())
    assert set(codes) <= {"0", "74", "78", "137"}, (codes, errors.read_text())
    assert codes["0"] == 1
    assert codes["74"] > 0
    assert codes["137"] > 0
    times = [len((out / str(n)).read_text()) for n in range(count)]
    assert min(times) == 1
    assert sum(times) - count <= 3 * (codes["74"] + codes["137"])


def test_read_only_disk(tasks, tmp_path):
    disk, errors = tmp_path / "disk", tmp_path / "errors"
    disk.mkdir()
    path = tasks(*(f"echo {n}" for n in range(9)))
    script = """
        mount -t tmpfs tmpfs "$DISK" || exit 99
        for mode in ro rw ro; do
            mount -o remount,$mode "$DISK"
            "$@" 2>>"$ERRORS"
            echo $?
        done
    """
    argv = [path, "--directory", disk]
    ended = in_mount_namespace(script, *argv, DISK=disk, ERRORS=errors)
    codes = [int(line) for line in ended.out.splitlines() if line.isdigit()]
    assert codes == [74, 0, 74], (ended, errors.read_text())
    assert errors.read_text().count("Read-only file system") == 2


def test_few_file_descriptors_suffice(tasks):
    path = tasks(*(f"echo {n}" for n in range(50)))
    script = 'ulimit -n 64; exec "$@"'
    argv = [folder("mpich") / "python", *FARM, path, "--json", "-"]
    ended = run(["sh", "-c", script, "sh", *map(str, argv)])
    assert values(ended)["done"] == 50


def test_directory_that_cannot_be_created(tasks):
    ended = on_ranks("mpich", 2, *FARM, tasks("true"), "--directory", "/proc/no/farm")
    assert ended.code == 74
    assert "cannot make /proc/no/farm: No such file" in ended.err


def test_damaged_journal_is_an_error_and_is_kept(tasks, tmp_path):
    path = tasks("echo 1", "echo 2")
    values(on_ranks("mpich", 1, *FARM, path, "--json", "-"))
    journal = tmp_path / "tasks.farm" / "journal"
    data = bytearray(journal.read_bytes())
    data[len(data) // 2] ^= 4
    journal.write_bytes(data)
    ended = on_ranks("mpich", 2, *FARM, path)
    assert ended.code == 65
    assert "is damaged in line" in ended.err
    assert journal.read_bytes() == data


def started(mpi, ranks, *argv, **variables):
    """Start the farm in the background."""
    script = str(ROOT / "scripts" / "on_ranks.py")
    return subprocess.Popen(
        [str(folder(mpi) / "python"), script, str(ranks), *FARM, *argv],
        cwd=ROOT,
        env=clean_environment(**variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def running(marker):
    """Return the processes whose command line contains `marker`."""
    ended = subprocess.run(
        ["pgrep", "-f", marker], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in ended.stdout.split()]


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("victim", ["manager", "worker", "launcher"])
@pytest.mark.timeout(1200)
def test_kills_lose_no_task_and_repeat_only_running_ones(
    tasks, tmp_path, mpi, victim, capsys
):
    rng, out = random.Random(f"{mpi}-{victim}"), tmp_path / "out"
    count, between = (2000, (30, 80)) if FAULTS else (90, (8, 20))
    out.mkdir()
    # A sleep time that pgrep can find.
    mark = f"0.05{zlib.crc32(str(tmp_path).encode()) % 10**6 + 10**6}"
    path = tasks(*(f"sleep {mark}; echo {n} >> {out}/{n}" for n in range(count)))
    journal = tmp_path / "tasks.farm" / "journal"
    kills, recorded = 0, set()
    while True:
        job = started(mpi, 3, path)
        before = len(recorded)
        target = before + rng.randint(*between)
        while job.poll() is None and len(done(journal)) < min(target, count):
            time.sleep(0.005)
        recorded = done(journal)
        if job.poll() is None and len(recorded) < count:
            ranks = [pid for pid in running(f"mpiapps.farm {path}$") if is_rank(pid)]
            time.sleep(rng.random() * 0.05)
            chosen = {"manager": min, "worker": max}.get(victim)
            pid = chosen(ranks, key=rank_of) if chosen and ranks else job.pid
            kill(pid)
            kills += 1
        job.communicate(timeout=LIMIT)
        until(lambda: not running(f"sleep {mark}"))  # no process is left
        assert done(journal) >= recorded
        if len(done(journal)) == count:
            break
    assert kills >= 2
    times = [len((out / str(n)).read_text().split()) for n in range(count)]
    assert min(times) == 1
    assert sum(times) - count <= 3 * kills  # three run concurrently
    with capsys.disabled():
        if FAULTS:
            again = sum(times) - count
            print(f"\n{mpi:8} {victim:9} {kills:3} kills of {count} tasks: 0 lost, "
                  f"{again:3} running ones repeated")  # fmt: skip


def done(journal):
    """Return the tasks that are done by the journal."""
    if not journal.exists():
        return set()
    records = read(journal).records
    return {record["task"] for record in records if not record.get("code", 1)}


def is_rank(pid):
    return rank_of(pid) >= 0


def rank_of(pid):
    """Return the rank that a launcher gave a process, or -1."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return -1
    variables = dict(entry.partition(b"=")[::2] for entry in content)
    names = (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK")
    return next((int(variables[name]) for name in names if name in variables), -1)


def kill(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
