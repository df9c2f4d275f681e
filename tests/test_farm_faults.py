"""The farm loses no task when processes are killed or disks are full."""

import os
import random
import time
import zlib
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from mpiapps.storage.journal import read
from tests.commands import LIMIT, MPIS, ROOT, bin_directory, on_ranks, run
from tests.taskfarm.farms import (
    FARM,
    is_rank,
    kill,
    rank_of,
    running,
    started,
    until,
    values,
    write_list,
)

FAULTS = "MPIAPPS_FAULTS" in os.environ  # long lists and many kills


@pytest.fixture
def tasks(tmp_path):
    """Return a function that writes a list of tasks."""
    return partial(write_list, tmp_path / "tasks")


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
    # Running tasks were killed with it; each of the three may have ended just before.
    assert sum(counts.values()) <= 15
    assert max(counts.values()) <= 2


def test_task_that_kills_its_helper_fails_alone(tasks):
    others = [f"sleep 0.3; echo {n}" for n in range(8)]
    path = tasks(*others[:3], "kill -9 $PPID", *others[3:])
    result = values(on_ranks("mpich", 3, *FARM, path, "--json", "-"), code=3)
    assert (result["done"], result["failed"], result["remaining"]) == (8, 1, 0)
    failed = Path(result["directory"], "failed.txt").read_text()
    assert failed.startswith("kill -9 $PPID")


def in_mount_namespace(script, *argv, **variables):
    """Run a shell script that may mount, with the farm's command as its arguments."""
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", "--mount", *own, "sh", "-c", script, "sh"]
    command += [
        bin_directory("mpich") / "python",
        ROOT / "scripts" / "on_ranks.py",
        "3",
    ]
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
    argv = [bin_directory("mpich") / "python", *FARM, path, "--json", "-"]
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


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("victim", ["manager", "worker", "launcher"])
@pytest.mark.timeout(1200)
def test_kills_lose_no_task_and_repeat_only_running_ones(
    tasks, tmp_path, mpi, victim, capsys
):
    rng, out = random.Random(f"{mpi}-{victim}"), tmp_path / "out"
    count, between = (2000, (30, 80)) if FAULTS else (30, (5, 12))
    out.mkdir()
    # A sleep time that pgrep can find; ranks work on for a moment without a launcher.
    seconds = "0.05" if FAULTS else "0.2"
    mark = f"{seconds}{zlib.crc32(str(tmp_path).encode()) % 10**6 + 10**6}"
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
