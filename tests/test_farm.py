"""The farm as users start it: each task once, whatever is killed."""

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

from mpiapps.farming.journal import read
from tests.launch import LIMIT, MPIS, ROOT, clean_environment, folder, on_ranks, run

FARM = ("-m", "mpiapps.farm")
FAULTS = "MPIAPPS_FAULTS" in os.environ  # many kills of a long list


@pytest.fixture
def tasks(tmp_path):
    """Return what writes a list of tasks."""

    def written(*lines):
        path = tmp_path / "tasks"
        path.write_bytes(b"\n".join(os.fsencode(line) for line in lines))
        return str(path)

    return written


def values(ended, code=0):
    assert ended.code == code, ended.err
    return json.loads(ended.out)["values"]


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_each_task_is_done_once_and_a_new_one_alone(tasks, tmp_path, ranks):
    lines = [f"echo {n} >> {tmp_path}/out.{n}" for n in range(6)]
    first = on_ranks("mpich", ranks, *FARM, tasks(*lines), "--json", "-")
    found = values(first)
    assert (found["tasks"], found["done"], found["now"]) == (6, 6, 6)
    again = values(on_ranks("mpich", ranks, *FARM, tasks(*lines), "--json", "-"))
    assert (again["done"], again["now"]) == (6, 0)
    new = f"echo new > {tmp_path}/new"
    edited = [*lines[3:], new, *lines[:2]]
    more = values(on_ranks("mpich", ranks, *FARM, tasks(*edited), "--json", "-"))
    assert (more["tasks"], more["done"], more["now"]) == (6, 6, 1)
    for n in range(6):
        assert (tmp_path / f"out.{n}").read_text() == f"{n}\n"


@pytest.mark.parametrize("mpi", MPIS)
def test_what_tasks_do_is_their_affair(tasks, mpi):
    path = tasks(
        "# all kinds of ends",
        "exit 3",
        "kill -SEGV $$",
        "echo said; kill -KILL $$",
        "sleep 60 #: time=1s",
        "false #: retries=2",
        "trap '' TERM; kill -TERM $$; true",
        "cd / && echo fine",
        "echo \udcff",
        "env | grep -c '^OMPI_COMM\\|^PMI_' ; true",
    )
    found = values(on_ranks(mpi, 3, *FARM, path, "--json", "-"), code=3)
    assert (found["done"], found["failed"], found["remaining"]) == (4, 5, 0)
    records = read(Path(found["directory"], "journal")).records[1:]
    ends = {record["command"]: (record["code"], record["why"]) for record in records}
    assert ends["exit 3"] == (3, "")
    assert ends["kill -SEGV $$"] == (-signal.SIGSEGV, "")
    assert ends["sleep 60"] == (-signal.SIGTERM, "time")
    assert sum(record["command"] == "false" for record in records) == 3
    failed = Path(found["directory"], "failed.txt").read_text().splitlines()
    assert sorted(failed) == sorted(
        [
            *("exit 3", "kill -SEGV $$", "echo said; kill -KILL $$"),
            *("sleep 60 #: time=1", "false #: retries=2"),
        ]
    )
    logs = Path(found["directory"], "logs")
    assert {path.read_bytes() for path in logs.iterdir()} == {
        *(b"", b"said\n", b"fine\n", b"\xff\n", b"0\n")
    }


def test_parameters_and_standard_input(tmp_path):
    where = ["--directory", str(tmp_path / "farm"), "--json", "-"]
    words = ["echo {x} {y}", "--param", "x=1:3", "--param", "y=a b,c"]
    found = values(on_ranks("mpich", 2, *FARM, *words, *where))
    assert found["done"] == 6
    said = {path.read_text() for path in (tmp_path / "farm" / "logs").iterdir()}
    assert said == {f"{x} {y}\n" for x in (1, 2, 3) for y in ("a b", "c")}
    ended = on_ranks("mpich", 2, *FARM, "echo {x}", "--param", "y=1", *where)
    assert ended.code == 65
    assert ended.err.count("no {y} is in") == 1


@pytest.mark.parametrize("mpi", MPIS)
def test_a_task_may_be_an_mpi_program(tasks, mpi):
    program = "from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(1))"
    nested = f"{folder(mpi)}/mpiexec -n 2 {folder(mpi)}/python -c '{program}'"
    words = [*FARM, tasks(f"{nested} #: cores=2"), "--json", "-"]
    found = values(
        on_ranks(mpi, 2, *words, PRTE_MCA_rmaps_default_mapping_policy=":oversubscribe")
    )
    (log,) = Path(found["directory"], "logs").iterdir()
    assert "".join(log.read_text().split()) == "22"


def test_wide_tasks_have_their_cores(tasks, tmp_path):
    path = tasks(
        *(f"echo +1 >> {tmp_path}/at; sleep 0.2; echo -1 >> {tmp_path}/at"
          f" #: cores={1 + n % 3}" for n in range(9)),
        "echo threads $OMP_NUM_THREADS #: cores=3",
    )  # fmt: skip
    found = values(on_ranks("mpich", 3, *FARM, path, "--json", "-"))
    assert found["done"] == 10
    said = {log.read_text() for log in Path(found["directory"], "logs").iterdir()}
    assert {"".join(sorted(text)) for text in said - {"threads 3\n"}} == {""}
    at = peak = 0
    for step in (tmp_path / "at").read_text().split():
        at += int(step)
        peak = max(peak, at)
    assert 2 <= peak <= 3
    ended = on_ranks("mpich", 2, *FARM, tasks("true", "true #: cores=3"))
    assert ended.code == 65
    assert "true: needs 3 cores, and the largest host has 2" in ended.err


def test_parts_of_a_list_are_all_of_it(tasks, tmp_path):
    path = tasks(*(f"echo {n} >> {tmp_path}/out" for n in range(7)))
    for n in range(3):
        values(on_ranks("mpich", 1, *FARM, path, "--part", f"{n + 1}/3", "--json", "-"))
    assert sorted(map(int, (tmp_path / "out").read_text().split())) == list(range(7))
    ended = mpiapps("farm", "status", f"{path}.farm")
    assert f"{path}.farm: 7 of 7 tasks done" in ended.out
    assert mpiapps("farm", "verify", f"{path}.farm").code == 0


def test_plans_of_lists(tasks):
    path = tasks(*["sleep 1"] * 400)
    ended = mpiapps("farm", "plan", path)
    assert (ended.code, "Give --each" in ended.err) == (65, True)
    few = mpiapps("farm", "plan", path, "--each", "30s", "--cores", "8").out
    assert "pack" in few.splitlines()[1]
    wanted = f"mpiapps submit farm --nodes 1 --ranks-per-node 8 --time 33m -- {path}"
    assert few.splitlines()[-1] == wanted
    words = ["--each", "5m", "--cores", "8", "--wall", "30m", "--json"]
    many = json.loads(mpiapps("farm", "plan", path, *words).out)
    assert [way["name"] for way in many] == ["chunks", "pack", "array"]
    assert many[0]["jobs"] == many[1]["nodes"] == 14
    long = mpiapps("farm", "plan", path, "--each", "2h", "--json").out
    assert json.loads(long)[0]["name"] == "array"
    script = mpiapps("farm", "plan", path, "--each", "2h", "--scheduler", "slurm").out
    assert "#SBATCH --array=1-400" in script
    on_ranks("mpich", 2, *FARM, tasks(*["sleep 0.01"] * 20))
    assert mpiapps("farm", "plan", path).code == 0  # the journal tells


def test_at_the_deadline_no_task_begins_and_the_next_start_goes_on(tasks, tmp_path):
    path = tasks(*(f"sleep 0.3; echo {n} >> {tmp_path}/out" for n in range(20)))
    checkpoint = tmp_path / "checkpoint.json"
    words = [*FARM, path, "--json", "-", "--checkpoint", str(checkpoint)]
    ended = on_ranks("mpich", 3, *words, "--seconds", "2")
    assert ended.code == 75, ended.err
    assert "left; the same command goes on" in ended.err
    assert json.loads(checkpoint.read_text())["stopped"] == 1
    begun = len((tmp_path / "out").read_text().split())
    assert 0 < begun < 20
    found = values(on_ranks("mpich", 3, *words))
    assert (found["done"], found["now"]) == (20, 20 - begun)
    assert sorted(map(int, (tmp_path / "out").read_text().split())) == list(range(20))
    assert not checkpoint.exists()


def test_tasks_at_work_when_the_run_stops_are_ended_and_have_not_failed(
    tasks, tmp_path
):
    path = tasks(f"test -e {tmp_path}/again && exit; touch {tmp_path}/again; sleep 50")
    words = [*FARM, path, "--checkpoint", str(tmp_path / "checkpoint.json")]
    ended = on_ranks("mpich", 2, *words, "--seconds", "1", "--drain", "1s")
    assert ended.code == 75, ended.err
    assert ended.seconds < 20
    assert "0 tasks done, 0 failed and 1 left" in ended.err
    assert "0 failed, 1 left" in mpiapps("farm", "status", f"{path}.farm").out
    assert on_ranks("mpich", 2, *words).code == 0


def test_a_retry_that_the_end_cuts_off_is_left_and_has_not_failed(tasks, tmp_path):
    mark = tmp_path / "again"
    path = tasks(f"test -e {mark} && sleep 50; touch {mark}; exit 1 #: retries=2")
    words = [*FARM, path, "--checkpoint", str(tmp_path / "checkpoint.json")]
    ended = on_ranks("mpich", 2, *words, "--seconds", "2", "--drain", "0s")
    assert ended.code == 75, ended.err


def test_a_killed_helper_leaves_nothing_and_its_tasks_are_done(tasks, tmp_path):
    out = tmp_path / "out"
    path = tasks(*(f"sleep 0.3; echo {n} >> {out}" for n in range(12)))
    job = started("mpich", 3, path, WHOSE=str(tmp_path))
    until(out.exists)
    for pid in running("mpiapps.farming.helper"):
        if str(tmp_path) in Path(f"/proc/{pid}/environ").read_text():
            kill(pid)
    _, said = job.communicate(timeout=LIMIT)
    assert job.returncode == 0, said
    counts = Counter(out.read_text().split())
    assert len(counts) == 12
    # Those at work were killed with it; one may have ended just before.
    assert sum(counts.values()) <= 13


def test_a_task_that_kills_its_helper_fails_alone(tasks):
    others = [f"sleep 0.3; echo {n}" for n in range(8)]
    path = tasks(*others[:3], "kill -9 $PPID", *others[3:])
    found = values(on_ranks("mpich", 3, *FARM, path, "--json", "-"), code=3)
    assert (found["done"], found["failed"], found["remaining"]) == (8, 1, 0)
    failed = Path(found["directory"], "failed.txt").read_text()
    assert failed.startswith("kill -9 $PPID")


@pytest.mark.parametrize(
    ("lines", "words", "code", "says"),
    [
        (["true"], ["--shell", "nosuchshell"], 78, "nosuchshell: no such program"),
        (["# all", "", "#: time=1s"], [], 65, "no task is in it"),
        (["true #: in=gone-*"], [], 3, "exit code 1 (no input gone-*): true"),
    ],
)
def test_what_cannot_be_begun_is_told_once(tasks, lines, words, code, says):
    ended = on_ranks("mpich", 2, *FARM, tasks(*lines), *words)
    assert (ended.code, ended.err.count(says)) == (code, 1), ended.err


def test_a_list_in_the_farms_own_folder_is_kept(tasks, tmp_path):
    path = Path(tasks("echo 1", "exit 2"))
    text = path.read_bytes()
    for _ in range(2):
        ended = on_ranks("mpich", 2, *FARM, str(path), "--directory", str(tmp_path))
        assert ended.code == 3, ended.err
        assert path.read_bytes() == text


def test_a_task_whose_limit_is_later_than_the_end_is_left(tasks, tmp_path):
    path = tasks(f"touch {tmp_path}/long", f"touch {tmp_path}/short #: time=1s")
    words = [path, "--time", "2h", "--checkpoint", str(tmp_path / "checkpoint.json")]
    ended = on_ranks("mpich", 2, *FARM, *words, "--seconds", "600")
    assert ended.code == 75, ended.err
    assert "1 tasks done, 0 failed and 1 left" in ended.err
    assert (tmp_path / "short").exists()
    assert not (tmp_path / "long").exists()


def test_status_and_verify_tell_of_it_from_the_login_node(tasks, tmp_path):
    path = tasks("echo 1", "exit 3", "sleep 9 #: time=1s", "echo 4")
    on_ranks("mpich", 3, *FARM, path)
    where = f"{path}.farm"
    ended = mpiapps("farm", "status", where)
    assert ended.code == 0, ended.err
    assert f"{where}: 2 of 4 tasks done, 2 failed, 0 left\n" in ended.out
    assert "1 failed: exit code 3" in ended.out
    assert "1 failed: ended for time" in ended.out
    found = json.loads(mpiapps("farm", "status", where, "--json").out)
    assert (found["starts"], found["attempts"], found["manager"]) == (1, 4, {})
    assert mpiapps("farm", "verify", where).out == "all as the journal says\n"
    logs = sorted(Path(where, "logs").iterdir(), key=lambda log: log.stat().st_size)
    logs[-1].write_text("more than it said")
    logs[0].unlink()
    ended = mpiapps("farm", "verify", where)
    assert ended.code == 4
    assert f"logs/{logs[-1].name}: 17 bytes, and it had 2" in ended.out
    assert f"logs/{logs[0].name}: No such file" in ended.out
    ended = mpiapps("farm", "status", str(tmp_path / "gone"))
    assert ended.code == 74
    assert "No such file" in ended.err


def test_outputs_are_part_of_what_a_task_must_do(tasks, tmp_path):
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
    assert rows[0].startswith("task,attempt,code,why,seconds,cpu,memory,host,at")
    assert len(rows) == 4
    assert mpiapps("farm", "verify", f"{path}.farm").code == 0
    made.write_text("3\n")
    (tmp_path / "two").unlink()
    ended = mpiapps("farm", "verify", f"{path}.farm")
    assert ended.code == 4
    assert f"{made}: its content has changed" in ended.out
    assert f"{tmp_path}/two: No such file" in ended.out


def mpiapps(*words):
    return run([str(folder("openmpi") / "mpiapps"), *words])


def test_two_managers_are_one_too_many(tasks, tmp_path):
    path = tasks(f"touch {tmp_path}/begun; sleep 5")
    job = started("mpich", 2, path)
    until((tmp_path / "begun").exists)
    ended = on_ranks("mpich", 2, *FARM, path)
    assert ended.code == 78
    assert "is at work: process" in ended.err
    job.communicate(timeout=LIMIT)
    assert job.returncode == 0


def in_a_mount_of_its_own(script, *words, **variables):
    """Run a shell script that may mount, with the farm's command as its arguments."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", "--mount", *own, "sh", "-c", script, "sh"]
    command += [folder("mpich") / "python", ROOT / "scripts" / "on_ranks.py", "3"]
    texts = {name: str(value) for name, value in variables.items()}
    return run([*map(str, [*command, *FARM, *words])], **texts)


def test_a_full_disk_ends_it_and_it_goes_on_when_there_is_room(tasks, tmp_path):
    disk, said = tmp_path / "disk", tmp_path / "said"
    disk.mkdir()
    path = tasks(*(f"head -c 20000 /dev/zero; exit {n % 2}" for n in range(60)))
    script = """
        mount -t tmpfs -o size=200k tmpfs "$DISK" || exit 99
        "$@" 2>"$SAID"
        echo $?
        mount -o remount,size=10m "$DISK"
        "$@" 2>>"$SAID"
        echo $? $(grep -c . "$DISK/failed.txt") $(ls "$DISK/logs" | wc -l)
    """
    words = [path, "--directory", disk]
    ended = in_a_mount_of_its_own(script, *words, DISK=disk, SAID=said)
    codes = [line.split() for line in ended.out.splitlines() if line[0].isdigit()]
    assert [each[0] for each in codes] == ["74", "3"], (ended, said.read_text())
    assert codes[1][1] == "30"
    assert "No space left on device; what is in it is good" in said.read_text()


@pytest.mark.timeout(1200)
def test_kills_on_a_disk_that_is_full_lose_nothing(tasks, tmp_path):
    count, kills = (400, 100) if FAULTS else (40, 4)
    disk, out, said = (tmp_path / name for name in ("disk", "out", "said"))
    disk.mkdir()
    out.mkdir()
    log = f"head -c 3000 /dev/zero; sleep 0.05; echo >> {out}"
    path = tasks(*(f"{log}/{n}" for n in range(count)))
    script = """
        size=60
        mount -t tmpfs -o size=${size}k tmpfs "$DISK" || exit 99
        for delay in $DELAYS $(yes 60 | head -n 200); do
            timeout -s KILL "$delay" "$@" >/dev/null 2>>"$SAID"
            code=$?
            echo $code
            [ $code = 0 ] && break
            # While ranks of a killed launcher are ending, the folder is theirs.
            [ $code = 78 ] && sleep 0.2
            [ $code = 74 ] && size=$((size + 20))
            mount -o "remount,size=${size}k" "$DISK"
        done
    """
    moments = random.Random(count)
    delays = " ".join(f"{moments.uniform(0.8, 2):.2f}" for _ in range(kills))
    words = [path, "--directory", disk, "--retries", "0"]
    ended = in_a_mount_of_its_own(script, *words, DISK=disk, SAID=said, DELAYS=delays)
    codes = Counter(ended.out.split())
    assert set(codes) <= {"0", "74", "78", "137"}, (codes, said.read_text())
    assert codes["0"] == 1
    assert codes["74"] > 0
    assert codes["137"] > 0
    times = [len((out / str(n)).read_text()) for n in range(count)]
    assert min(times) == 1
    assert sum(times) - count <= 3 * (codes["74"] + codes["137"])


def test_a_disk_that_is_read_only(tasks, tmp_path):
    disk, said = tmp_path / "disk", tmp_path / "said"
    disk.mkdir()
    path = tasks(*(f"echo {n}" for n in range(9)))
    script = """
        mount -t tmpfs tmpfs "$DISK" || exit 99
        for how in ro rw ro; do
            mount -o remount,$how "$DISK"
            "$@" 2>>"$SAID"
            echo $?
        done
    """
    words = [path, "--directory", disk]
    ended = in_a_mount_of_its_own(script, *words, DISK=disk, SAID=said)
    codes = [int(line) for line in ended.out.splitlines() if line.isdigit()]
    assert codes == [74, 0, 74], (ended, said.read_text())
    assert said.read_text().count("Read-only file system") == 2


def test_few_file_numbers_are_enough(tasks):
    path = tasks(*(f"echo {n}" for n in range(50)))
    script = 'ulimit -n 64; exec "$@"'
    words = [folder("mpich") / "python", *FARM, path, "--json", "-"]
    ended = run(["sh", "-c", script, "sh", *map(str, words)])
    assert values(ended)["done"] == 50


def test_a_directory_that_cannot_be_made(tasks):
    ended = on_ranks("mpich", 2, *FARM, tasks("true"), "--directory", "/proc/no/farm")
    assert ended.code == 74
    assert "cannot make /proc/no/farm: No such file" in ended.err


def test_a_damaged_journal_stops_it_and_nothing_is_touched(tasks, tmp_path):
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


def started(mpi, ranks, *words, **variables):
    """Start the farm and leave it at work."""
    script = str(ROOT / "scripts" / "on_ranks.py")
    return subprocess.Popen(
        [str(folder(mpi) / "python"), script, str(ranks), *FARM, *words],
        cwd=ROOT,
        env=clean_environment(**variables),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def until(true):
    end = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def running(marker):
    """Return the processes whose command line holds a word."""
    found = subprocess.run(
        ["pgrep", "-f", marker], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("victim", ["manager", "worker", "launcher"])
@pytest.mark.timeout(1200)
def test_kills_lose_nothing_and_repeat_only_what_was_at_work(
    tasks, tmp_path, mpi, victim, capsys
):
    moments, out = random.Random(f"{mpi}-{victim}"), tmp_path / "out"
    count, between = (2000, (30, 80)) if FAULTS else (90, (8, 20))
    out.mkdir()
    # Seconds, and a name for pgrep.
    mark = f"0.05{zlib.crc32(str(tmp_path).encode()) % 10**6 + 10**6}"
    path = tasks(*(f"sleep {mark}; echo {n} >> {out}/{n}" for n in range(count)))
    journal = tmp_path / "tasks.farm" / "journal"
    kills, promised = 0, set()
    while True:
        job = started(mpi, 3, path)
        before = len(promised)
        target = before + moments.randint(*between)
        while job.poll() is None and len(done(journal)) < min(target, count):
            time.sleep(0.005)
        promised = done(journal)
        if job.poll() is None and len(promised) < count:
            ranks = [pid for pid in running(f"mpiapps.farm {path}$") if is_rank(pid)]
            time.sleep(moments.random() * 0.05)
            chosen = {"manager": min, "worker": max}.get(victim)
            pid = chosen(ranks, key=rank_of) if chosen and ranks else job.pid
            kill(pid)
            kills += 1
        job.communicate(timeout=LIMIT)
        until(lambda: not running(f"sleep {mark}"))  # nothing is left behind
        assert done(journal) >= promised
        if len(done(journal)) == count:
            break
    assert kills >= 2
    times = [len((out / str(n)).read_text().split()) for n in range(count)]
    assert min(times) == 1
    assert sum(times) - count <= 3 * kills  # so many are at work at once
    with capsys.disabled():
        if FAULTS:
            again = sum(times) - count
            print(f"\n{mpi:8} {victim:9} {kills:3} kills of {count} tasks: 0 lost, "
                  f"{again:3} of those at work done again")  # fmt: skip


def done(journal):
    """Return the tasks that the journal tells are done."""
    if not journal.exists():
        return set()
    records = read(journal).records
    return {each["task"] for each in records if not each.get("code", 1)}


def is_rank(pid):
    return rank_of(pid) >= 0


def rank_of(pid):
    """Return the rank that a launcher gave a process, or -1."""
    try:
        content = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return -1
    found = dict(each.partition(b"=")[::2] for each in content)
    names = (b"OMPI_COMM_WORLD_RANK", b"PMI_RANK")
    return next((int(found[name]) for name in names if name in found), -1)


def kill(pid):
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
