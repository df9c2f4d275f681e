"""Commands affect only their own processes, and none of these is left."""

import os
import resource
import signal
import time

import pytest

from mpiapps.base.processes import ProcessTree, tagged_pids
from mpiapps.taskfarm.helper import TASK_ID
from mpiapps.taskfarm.supervisor import Supervisor, wait_for

ORDER = {"environ": {}, "directory": "", "shell": "/bin/sh", "seconds": 0, "memory": 0}


@pytest.fixture(scope="module")
def supervisor():
    """A supervisor that all tests of this file share."""
    shared = Supervisor()
    yield shared
    shared.close()


@pytest.fixture
def start(supervisor, tmp_path):
    """Return a function that starts a command."""

    def start_command(command, name="task", **order):
        log = str(tmp_path / name)
        supervisor.start(name, {**ORDER, "command": command, "log": log, **order})

    return start_command


def wait_all(supervisor, timeout=30.0):
    """Return the exits of all running commands, by name."""
    exits, end = {}, time.monotonic() + timeout
    while supervisor.busy:
        assert time.monotonic() < end, "the commands do not end"
        wait_for([supervisor], 0.1)
        exits |= dict(supervisor.poll())
    return exits


@pytest.fixture
def run(supervisor, start, tmp_path):
    """Return a function that runs a command and returns its exit and its output."""

    def run_command(command, directory="", **limits):
        (tmp_path / "task").unlink(missing_ok=True)
        start(command, directory=str(directory), **limits)
        ended = wait_all(supervisor)["task"]
        helper = supervisor._process.pid
        assert ProcessTree().below([helper]) == [helper]  # no process is left
        return ended, (tmp_path / "task").read_text()

    return run_command


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
def test_exit_code_or_signal(run, command, code):
    ended, _ = run(command)
    assert (ended.code, ended.reason) == (code, "")


def test_output_and_usage(run):
    ended, output = run("echo out; echo err >&2; sleep 0.2; i=0; "
                      "while [ $i -lt 100000 ]; do i=$((i+1)); done")  # fmt: skip
    assert output == "out\nerr\n"
    assert ended.seconds >= 0.2
    assert ended.cpu > 0
    assert ended.memory > 2**18


def test_large_output(run):
    ended, output = run("yes | head -c 20000000")
    assert ended.code == 0
    assert len(output) == 20_000_000


def test_time_limit_ends_all_processes(run):
    ended, _ = run("sleep 60 & sleep 60 & wait", seconds=0.2)
    assert ended.reason == "time"
    assert ended.code == -signal.SIGTERM


def test_exit_0_at_the_time_limit_is_a_failure(run):
    ended, _ = run("trap 'exit 0' TERM; sleep 60 & wait", seconds=0.2)
    assert (ended.code, ended.reason) == (-signal.SIGTERM, "time")


def test_command_that_ignores_sigterm_is_killed(run):
    ended, out = run("trap 'echo no' TERM; while :; do sleep 0.05; done", seconds=0.2)
    assert (ended.code, ended.reason) == (-signal.SIGKILL, "time")
    assert "no" in out


HOLD = "python3 -c 'x = bytearray(300 * 2**20); import time; time.sleep(60)'"


@pytest.mark.parametrize(
    "command",
    [
        HOLD,
        f"setsid -w {HOLD}",  # as the mpiexec of MPICH: its ranks leave the session
        f"(setsid sh -c '({HOLD.replace(chr(39), chr(34))}) & wait' &); sleep 60",
    ],
)
def test_memory_limit_covers_all_sessions(run, command):
    ended, _ = run(command, memory=200 * 2**20)
    assert (ended.code, ended.reason) == (-signal.SIGKILL, "memory")
    assert ended.memory > 200 * 2**20


def test_memory_limit_holds_for_background_processes(run):
    ended, _ = run(f"{HOLD} & exit 0", memory=200 * 2**20)
    assert ended.reason == "memory"
    assert ended.memory > 200 * 2**20


# Each creates `made` after its shell has ended.
LATE = [
    "(sleep 0.5; echo 1 >made) &",
    "(sleep 0.5; echo 1 >made) &> /dev/null",  # for sh no redirection of bash
    "nohup sh -c 'sleep 0.5; echo 1 >made' >/dev/null 2>&1 &",
    "((sleep 0.2; (sleep 0.3; echo 1 >made) & exit) & exit) & exit",
    "env -i sh -c '/bin/sleep 0.5; echo 1 >made' &",
    "trap 'sleep 0.5; echo 1 >made' EXIT",
]


@pytest.mark.parametrize("command", LATE)
def test_background_processes_are_waited_for(run, tmp_path, command):
    ended, _ = run(command, directory=tmp_path)
    assert (ended.code, ended.reason) == (0, "")
    assert (tmp_path / "made").read_text() == "1\n"
    assert ended.seconds >= 0.5


def test_time_limit_holds_for_background_processes(run):
    ended, _ = run("sleep 60 & (trap '' HUP; exec sleep 60) & exit 0", seconds=0.3)
    assert (ended.code, ended.reason) == (-signal.SIGTERM, "time")


def test_programs_can_save_their_state_at_the_time_limit(run, tmp_path):
    save = "trap 'sleep 1; echo 1 >saved; exit' TERM; while :; do sleep 0.05; done"
    ended, _ = run(f'sh -c "{save}"; true', directory=tmp_path, seconds=0.3)
    assert ended.reason == "time"
    assert (tmp_path / "saved").read_text() == "1\n"


def test_the_log_of_a_lost_attempt_is_replaced(supervisor, start, tmp_path):
    (tmp_path / "task").write_text("of the lost attempt\n")
    start("echo new")
    wait_all(supervisor)
    assert (tmp_path / "task").read_text() == "new\n"


def test_background_processes_of_failed_command_are_killed(run):
    ended, _ = run("(trap '' TERM; sleep 60) & exit 3")
    assert (ended.code, ended.reason) == (3, "")
    assert ended.seconds < 20


@pytest.mark.parametrize("command", ["setsid sleep 60 &", "env -i setsid sleep 60 &"])
def test_daemon_ends_with_its_task(run, command):
    ended, _ = run(f"{command} sleep 0.2")
    assert (ended.code, ended.reason) == (0, "")
    assert ended.seconds < 20


def test_killing_a_daemon_leaves_other_tasks_running(supervisor, start, tmp_path):
    start("setsid sleep 60 & (sleep 0.6; echo 1 >made) &", "a", directory=str(tmp_path))
    start("sleep 0.3", "b")
    assert {name: end.code for name, end in wait_all(supervisor).items()} == {
        "a": 0,
        "b": 0,
    }
    assert (tmp_path / "made").exists()


def test_missing_directory(run, tmp_path):
    ended, output = run("true", directory=tmp_path / "gone")
    assert (ended.code, ended.reason) == (127, "not started")
    assert "mpiapps: cannot start: " in output
    (tmp_path / "directory").mkdir()
    ended, _ = run("rmdir $PWD && exit 4", directory=tmp_path / "directory")
    assert ended.code == 4


def test_a_command_that_is_too_long(run):
    ended, output = run("true " + "x" * 200_000)
    assert (ended.code, ended.reason) == (127, "not started")
    assert "200005 bytes; write the command to a script" in output


def test_an_environment_that_is_too_large(run):
    ended, output = run("true", environ={"BIG": "x" * 200_000, "A": "b"})
    assert (ended.code, ended.reason) == (127, "not started")
    assert "its largest variable, BIG, 200005; unset what" in output
    assert "script" not in output


def test_stop(supervisor, start):
    start("sleep 60")
    start("sleep 60 &", "background")
    time.sleep(0.2)
    supervisor.stop()
    codes = {(end.code, end.reason) for end in wait_all(supervisor).values()}
    assert codes == {(-signal.SIGTERM, "stopped")}


@pytest.mark.parametrize("command", ["-n echo", "+e echo", "--version"])
def test_command_is_not_an_option_of_its_shell(run, command):
    ended, output = run(command)
    assert ended.code == 127
    assert command.split()[0] in output


def test_another_shell(run):
    ended, output = run("echo {1..3} ${BASH_VERSION:+bash}", shell="/bin/bash")
    assert (ended.code, output) == (0, "1 2 3 bash\n")


def test_more_commands_than_file_descriptors(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
    try:
        own = Supervisor()
        for n in range(100):
            log = str(tmp_path / f"log.{n}")
            own.start(str(n), {**ORDER, "command": "sleep 1", "log": log})
        exits = wait_all(own)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    own.close()
    assert {(end.code, end.reason) for end in exits.values()} == {(0, "")}
    assert len(exits) == 100


def test_stopped_helper_is_reported(supervisor, start, capfd, monkeypatch):
    monkeypatch.setattr("mpiapps.taskfarm.supervisor.SILENCE_LIMIT", 0.1)
    start("true", "first")
    wait_all(supervisor)
    pid = supervisor._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        start("true")
        time.sleep(0.2)
        assert supervisor.poll() == []
    finally:
        os.kill(pid, signal.SIGCONT)
    assert f"is stopped; resume it with: kill -CONT {pid}" in capfd.readouterr().err
    assert wait_all(supervisor)["task"].code == 0


def test_killed_helper_leaves_no_process_and_does_not_affect_others(tmp_path):
    first, second = Supervisor(), Supervisor()
    log = str(tmp_path / "log")
    for owner in (first, second):
        owner.start("same", {**ORDER, "command": "sleep 1", "log": log})
    tags = [f"{owner._tag}/same" for owner in (first, second)]
    while not all(tagged_pids(tag, TASK_ID) for tag in tags):
        time.sleep(0.01)
    os.kill(first._process.pid, signal.SIGKILL)
    assert wait_all(first)["same"].reason == "lost"
    while tagged_pids(tags[0], TASK_ID):
        time.sleep(0.01)
    assert wait_all(second)["same"].code == 0
    first.close()
    second.close()


def test_standard_input_is_empty(run):
    start = time.monotonic()
    ended, output = run("cat; echo end")
    assert (ended.code, output) == (0, "end\n")
    assert time.monotonic() - start < 30
