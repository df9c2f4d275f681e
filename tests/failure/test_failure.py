"""One rank fails, all end: with rank, host, the traceback once, and its code."""

import os
import signal
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.launch import LIMIT, MPIS, clean_environment, folder, marked, on_ranks

VICTIM = str(Path(__file__).with_name("victim.py"))
HOST = socket.gethostname()
WITHIN = 10.0  # s in which ranks end whose launcher is gone; 5 on a machine at rest


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize(
    ("how", "code", "line"),
    [
        ("raise_error", 1, "ValueError: boom"),
        ("exit_3", 3, "SystemExit: 3"),
        ("exit_text", 1, "SystemExit: no more"),
        ("interrupt", 130, "KeyboardInterrupt"),
        ("terminate", 143, "in terminate"),
        ("terminate_blocked", 143, "world.comm.recv"),
        ("terminate_in_a_callback", 143, "signal.pause"),
        ("exit_0", 70, "while others were still at work"),
        ("raise_with_closed_output", 1, "ValueError: boom"),
        ("interrupt_when_done", 130, "KeyboardInterrupt"),
    ],
)
def test_the_end_of_one_rank_is_the_end_of_all(mpi, how, code, line):
    ended = on_ranks(mpi, 3, VICTIM, how, "one")
    assert ended.code == code, ended.err
    assert f"on rank 1 of 3 on {HOST}" in ended.err
    assert ended.err.count("Traceback") == 1, ended.err
    assert line in ended.err
    assert "reached the end" not in ended.out


@pytest.mark.parametrize("mpi", MPIS)
def test_the_end_of_a_forked_child_is_not_the_end_of_its_rank(mpi):
    ended = on_ranks(mpi, 2, VICTIM, "end_a_forked_child", "one")
    assert ended.code == 0, ended.err
    assert ended.out.count("reached the end") == 2


@pytest.mark.parametrize("mpi", MPIS)
def test_forked_children_end_with_codes_of_their_own(mpi):
    ended = on_ranks(mpi, 2, str(Path(__file__).with_name("forking.py")))
    assert ended.code == 0, ended.err
    assert ended.out.count("reached the end") == 2
    assert ended.err.count("mpiapps: error: line 7 is no number") == 2


EARLY = {
    "one_raises": (1, "mpiapps: ValueError on rank 1 of 3"),
    "all_raise": (1, "mpiapps: ValueError on rank 0 of 3"),
    "one_raises_once_mpi_is_started": (1, "mpiapps: ValueError on rank 1 of 3"),
    "one_has_another_command_line": (2, "'few'"),
}


@pytest.mark.parametrize("mpi", MPIS)
def test_an_error_before_the_world_is_open_ends_all(mpi):
    """The others wait in MPI_Init, of which a launcher by PMI sees nothing."""
    victim = str(Path(__file__).with_name("early.py"))
    with ThreadPoolExecutor() as pool:  # side by side: most of their time they wait
        runs = list(pool.map(lambda how: on_ranks(mpi, 3, victim, how), EARLY))
    for ended, (code, line) in zip(runs, EARLY.values(), strict=True):
        assert ended.code == code, ended.err
        assert ended.err.count(line) == 1, ended.err
        assert ended.err.count("Traceback") == (code == 1), ended.err
        assert "reached the end" not in ended.out


@pytest.mark.parametrize("mpi", MPIS)
def test_errors_of_the_package_need_no_traceback(mpi):
    ended = on_ranks(mpi, 3, VICTIM, "refuse_input", "one")
    assert ended.code == 65
    assert f"error on rank 1 of 3 on {HOST}: line 7 is no number" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize(("who", "rank"), [("all", 0), ("most", 1)])
def test_many_ranks_that_fail_alike_report_once(mpi, who, rank):
    ended = on_ranks(mpi, 3, VICTIM, "raise_error", who)
    assert ended.code == 1
    assert ended.err.count("Traceback") == 1, ended.err
    assert f"ValueError on rank {rank} of 3" in ended.err
    if who == "all":
        assert "abort" not in ended.err.lower()


def test_ranks_hear_of_a_failure_over_the_network():
    """MPICH as between hosts: each rank is one of its own."""
    ended = on_ranks("mpich", 3, VICTIM, "raise_error", "all", MPIR_CVAR_NOLOCAL="1")
    assert ended.code == 1
    assert ended.err.count("Traceback") == 1, ended.err
    assert "ValueError on rank 0 of 3" in ended.err


@pytest.mark.parametrize("mpi", MPIS)
def test_an_agreed_error_is_reported_once_with_where_it_arose(mpi):
    ended = on_ranks(mpi, 3, VICTIM, "agreed_error", "all")
    assert ended.code == 1
    assert ended.err.count("ValueError: boom") == 2, ended.err  # note and error
    assert f"raised on rank 1 of 3 on {HOST}" in ended.err


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize(("how", "code"), [("exit_3", 3), ("exit_0", 0)])
def test_all_ranks_may_exit_together_without_a_word(mpi, how, code):
    ended = on_ranks(mpi, 3, VICTIM, how, "all")
    assert ended.code == code
    assert "mpiapps" not in ended.err


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_mpiexec_ends_every_rank(mpi, number):
    """Ranks that wait inside MPI, where only a thread can hear the signal."""
    command = [str(folder(mpi) / "python"), "scripts/on_ranks.py", "3", VICTIM]
    started = subprocess.Popen(
        [*command, "wait_for_the_end", "all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert started.stdout.readline().strip("\0\n") == "waiting"
    os.kill(started.pid, number)
    out, _ = started.communicate(timeout=LIMIT)
    assert started.returncode != 0
    assert "reached the end" not in out
    until_gone(lambda: ranks_of(VICTIM), LIMIT)


# Which processes are killed by signal 9, so that nobody passes anything on.
KILLED = {
    "the launcher": lambda launcher, _daemons, _ranks: [launcher],
    "launcher and daemons": lambda launcher, daemons, _ranks: [launcher, *daemons],
    "all but a rank": lambda launcher, daemons, ranks: [
        launcher, *daemons, *ranks[:-1]
    ],
}  # fmt: skip


@pytest.mark.parametrize("who", KILLED)
def test_ranks_without_messages_end_with_a_launcher_that_is_killed(who):
    with ThreadPoolExecutor() as pool:  # side by side: most of their time they wait
        list(pool.map(kill_idle_run, MPIS, [KILLED[who]] * len(MPIS)))


def test_ranks_that_cannot_end_are_ended_with_their_launcher():
    whom, how = KILLED["launcher and daemons"], "hold_the_gil_at_the_end"
    with ThreadPoolExecutor() as pool:
        list(pool.map(kill_idle_run, MPIS, [whom] * len(MPIS), [how] * len(MPIS)))


def kill_idle_run(mpi, whom, how="be_idle"):
    mark = f"mpiapps-test-{uuid.uuid4()}"
    command = [str(folder(mpi) / "python"), "scripts/on_ranks.py", "3", VICTIM]
    with subprocess.Popen(
        [*command, how, "all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(FAILURE_MARK=mark),
    ) as started:
        assert started.stdout.readline().strip("\0\n") == "waiting"
        left = set(marked(mark)) - {started.pid}
        ranks = sorted(left & set(map(int, ranks_of(VICTIM))))
        assert len(ranks) == 3
        for pid in whom(started.pid, left - set(ranks), ranks):
            os.kill(pid, signal.SIGKILL)
        try:
            until_gone(lambda: marked(mark), WITHIN)
        finally:
            for pid in marked(mark):
                os.kill(pid, signal.SIGKILL)


def until_gone(left, seconds):
    deadline = time.monotonic() + seconds
    while found := left():
        assert time.monotonic() < deadline, f"left behind: {found}"
        time.sleep(0.1)


def ranks_of(script):
    """Return the processes that still run `script`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if script.encode() in words:
            found.append(entry.parent.name)
    return found
