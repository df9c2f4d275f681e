"""Whatever a command does, it is the child's affair, and nothing of it is left."""

import os
import resource
import signal
import time

import pytest

from mpiapps.base.session import Tree, of_mark
from mpiapps.farming.helper import NAME
from mpiapps.farming.nursery import Nursery, wait_for

ORDER = {"environ": {}, "folder": "", "shell": "/bin/sh", "seconds": 0, "memory": 0}


@pytest.fixture(scope="module")
def nursery():
    """A helper that all tests of this file order commands from."""
    found = Nursery()
    yield found
    found.close()


@pytest.fixture
def begin(nursery, tmp_path):
    """Return what begins a command, by its name."""

    def begun(command, name="task", **order):
        log = str(tmp_path / name)
        nursery.start(name, {**ORDER, "command": command, "log": log, **order})

    return begun


def ends(nursery, longest=30.0):
    """Return how all that is at work ends, by name."""
    found, until = {}, time.monotonic() + longest
    while nursery.busy:
        assert time.monotonic() < until, "it does not end"
        wait_for([nursery], 0.1)
        found |= dict(nursery.poll())
    return found


@pytest.fixture
def run(nursery, begin, tmp_path):
    """Return what runs a command, and gives how it ended and what it printed."""

    def done(command, folder="", **limits):
        (tmp_path / "task").unlink(missing_ok=True)
        begin(command, folder=str(folder), **limits)
        ended = ends(nursery)["task"]
        helper = nursery._process.pid
        assert Tree().below([helper]) == [helper]  # nothing is left
        return ended, (tmp_path / "task").read_text()

    return done


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("exit 3", 3),
        ("kill -SEGV $$", -signal.SIGSEGV),
        ("kill -KILL $$", -signal.SIGKILL),
        ("not-a-command-of-anyone", 127),
        ("if then", 2),
    ],
)
def test_its_code_or_signal(run, command, code):
    ended, _ = run(command)
    assert (ended.code, ended.why) == (code, "")


def test_what_it_prints_and_takes(run):
    ended, said = run("echo out; echo err >&2; sleep 0.2; i=0; "
                      "while [ $i -lt 100000 ]; do i=$((i+1)); done")  # fmt: skip
    assert said == "out\nerr\n"
    assert ended.seconds >= 0.2
    assert ended.cpu > 0
    assert ended.memory > 2**18


def test_a_flood_does_not_stop_it(run):
    ended, said = run("yes | head -c 20000000")
    assert ended.code == 0
    assert len(said) == 20_000_000


def test_its_time_is_limited_with_all_that_it_began(run):
    ended, _ = run("sleep 60 & sleep 60 & wait", seconds=0.2)
    assert ended.why == "time"
    assert ended.code == -signal.SIGTERM


def test_who_ends_well_at_its_limit_was_not_done(run):
    ended, _ = run("trap 'exit 0' TERM; sleep 60 & wait", seconds=0.2)
    assert (ended.code, ended.why) == (-signal.SIGTERM, "time")


def test_who_ignores_the_end_is_killed(run):
    ended, said = run("trap 'echo no' TERM; while :; do sleep 0.05; done", seconds=0.2)
    assert (ended.code, ended.why) == (-signal.SIGKILL, "time")
    assert "no" in said


HOLD = "python3 -c 'x = bytearray(300 * 2**20); import time; time.sleep(60)'"


@pytest.mark.parametrize(
    "command",
    [
        HOLD,
        f"setsid -w {HOLD}",  # as the mpiexec of MPICH: its ranks leave the session
        f"(setsid sh -c '({HOLD.replace(chr(39), chr(34))}) & wait' &); sleep 60",
    ],
)
def test_its_memory_is_limited_wherever_it_is(run, command):
    ended, _ = run(command, memory=200 * 2**20)
    assert (ended.code, ended.why) == (-signal.SIGKILL, "memory")
    assert ended.memory > 200 * 2**20


# Each makes `made` after its shell has ended.
LATE = [
    "(sleep 0.5; echo 1 >made) &",
    "(sleep 0.5; echo 1 >made) &> /dev/null",  # for sh no redirection of bash
    "nohup sh -c 'sleep 0.5; echo 1 >made' >/dev/null 2>&1 &",
    "((sleep 0.2; (sleep 0.3; echo 1 >made) & exit) & exit) & exit",
    "env -i sh -c '/bin/sleep 0.5; echo 1 >made' &",
    "trap 'sleep 0.5; echo 1 >made' EXIT",
]


@pytest.mark.parametrize("command", LATE)
def test_a_command_ends_when_what_it_began_has_ended(run, tmp_path, command):
    ended, _ = run(command, folder=tmp_path)
    assert (ended.code, ended.why) == (0, "")
    assert (tmp_path / "made").read_text() == "1\n"
    assert ended.seconds >= 0.5


def test_what_works_past_the_limit_in_the_background_has_failed(run):
    ended, _ = run("sleep 60 & (trap '' HUP; exec sleep 60) & exit 0", seconds=0.3)
    assert (ended.code, ended.why) == (-signal.SIGTERM, "time")


def test_what_a_failed_command_left_is_killed_at_once(run):
    ended, _ = run("(trap '' TERM; sleep 60) & exit 3")
    assert (ended.code, ended.why) == (3, "")
    assert ended.seconds < 20


@pytest.mark.parametrize("command", ["setsid sleep 60 &", "env -i setsid sleep 60 &"])
def test_a_daemon_ends_with_what_began_it(run, command):
    ended, _ = run(f"{command} sleep 0.2")
    assert (ended.code, ended.why) == (0, "")
    assert ended.seconds < 20


def test_a_daemon_of_one_task_leaves_others_at_work(nursery, begin, tmp_path):
    begin("setsid sleep 60 & (sleep 0.6; echo 1 >made) &", "a", folder=str(tmp_path))
    begin("sleep 0.3", "b")
    assert {name: how.code for name, how in ends(nursery).items()} == {"a": 0, "b": 0}
    assert (tmp_path / "made").exists()


def test_a_folder_that_is_gone(run, tmp_path):
    ended, said = run("true", folder=tmp_path / "gone")
    assert (ended.code, ended.why) == (127, "not started")
    assert "mpiapps: cannot start: " in said
    ended, _ = run("rmdir $PWD && exit 4", folder=_made(tmp_path / "mine"))
    assert ended.code == 4


def _made(path):
    path.mkdir()
    return path


def test_it_may_be_stopped(nursery, begin):
    begin("sleep 60")
    begin("sleep 60 &", "background")
    time.sleep(0.2)
    nursery.stop()
    codes = {(how.code, how.why) for how in ends(nursery).values()}
    assert codes == {(-signal.SIGTERM, "stopped")}


@pytest.mark.parametrize("command", ["-n echo", "+e echo", "--version"])
def test_a_command_is_no_option_of_its_shell(run, command):
    ended, said = run(command)
    assert ended.code == 127
    assert command.split()[0] in said


def test_another_shell(run):
    ended, said = run("echo {1..3} ${BASH_VERSION:+bash}", shell="/bin/bash")
    assert (ended.code, said) == (0, "1 2 3 bash\n")


def test_more_at_once_than_there_are_numbers_for_files(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        own = Nursery()
        for n in range(100):
            log = str(tmp_path / f"log.{n}")
            own.start(str(n), {**ORDER, "command": "sleep 1", "log": log})
        found = ends(own)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    own.close()
    assert {(how.code, how.why) for how in found.values()} == {(0, "")}
    assert len(found) == 100


def test_a_stopped_helper_is_named(nursery, begin, capfd, monkeypatch):
    monkeypatch.setattr("mpiapps.farming.nursery.QUIET", 0.1)
    begin("true", "first")
    ends(nursery)
    pid = nursery._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        begin("true")
        time.sleep(0.2)
        assert nursery.poll() == []
    finally:
        os.kill(pid, signal.SIGCONT)
    assert f"is stopped; go on with: kill -CONT {pid}" in capfd.readouterr().err
    assert ends(nursery)["task"].code == 0


def test_a_killed_helper_leaves_nothing_of_its_own_and_all_of_others(tmp_path):
    first, second = Nursery(), Nursery()
    log = str(tmp_path / "log")
    for each in (first, second):
        each.start("same", {**ORDER, "command": "sleep 1", "log": log})
    marks = [f"{each._mark}/same" for each in (first, second)]
    while not all(of_mark(mark, NAME) for mark in marks):
        time.sleep(0.01)
    os.kill(first._process.pid, signal.SIGKILL)
    assert ends(first)["same"].why == "lost"
    while of_mark(marks[0], NAME):
        time.sleep(0.01)
    assert ends(second)["same"].code == 0
    first.close()
    second.close()


def test_a_terminal_is_never_read(run):
    started = time.monotonic()
    ended, said = run("cat; echo end")
    assert (ended.code, said) == (0, "end\n")
    assert time.monotonic() - started < 30  # it ends at all
