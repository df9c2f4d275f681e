"""A failing rank ends all ranks; rank, host and traceback are printed once."""

import os
import signal
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.commands import (
    LIMIT,
    MPIS,
    bin_directory,
    clean_environment,
    marked,
    on_ranks,
)

VICTIM = str(Path(__file__).with_name("victim.py"))
HOST = socket.gethostname()
EXIT_SECONDS = (
    10.0  # s from the end of the launcher to that of its ranks; 5 on an idle machine
)


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
        ("terminate_in_del", 143, "signal.pause"),
        ("exit_0", 70, "while other ranks were still running"),
        ("raise_with_closed_output", 1, "ValueError: boom"),
        ("interrupt_when_done", 130, "KeyboardInterrupt"),
    ],
)
def test_failure_of_one_rank_ends_all(mpi, how, code, line):
    ended = on_ranks(mpi, 3, VICTIM, how, "one")
    assert ended.code == code, ended.err
    assert f"on rank 1 of 3 on {HOST}" in ended.err
    assert ended.err.count("Traceback") == 1, ended.err
    assert line in ended.err
    assert "reached the end" not in ended.out


@pytest.mark.parametrize("mpi", MPIS)
def test_signal_to_forked_child_does_not_end_its_rank(mpi):
    ended = on_ranks(mpi, 2, VICTIM, "end_a_forked_child", "one")
    assert ended.code == 0, ended.err
    assert ended.out.count("reached the end") == 2


@pytest.mark.parametrize("mpi", MPIS)
def test_forked_children_have_their_own_exit_codes(mpi):
    ended = on_ranks(mpi, 2, str(Path(__file__).with_name("forking.py")))
    assert ended.code == 0, ended.err
    assert ended.out.count("reached the end") == 2
    assert ended.err.count("mpiapps: error: line 7 is not a number") == 2


EARLY = {
    "one_raises": (1, "mpiapps: ValueError on rank 1 of 3"),
    "all_raise": (1, "mpiapps: ValueError on rank 0 of 3"),
    "one_raises_once_mpi_is_started": (1, "mpiapps: ValueError on rank 1 of 3"),
    "one_has_another_command_line": (2, "'few'"),
}


@pytest.mark.parametrize("mpi", MPIS)
def test_error_before_open_world_ends_all(mpi):
    """The others wait in MPI_Init, which a PMI launcher does not detect."""
    victim = str(Path(__file__).with_name("early.py"))
    with ThreadPoolExecutor() as pool:  # in parallel: they mostly wait
        runs = list(pool.map(lambda how: on_ranks(mpi, 3, victim, how), EARLY))
    for ended, (code, line) in zip(runs, EARLY.values(), strict=True):
        assert ended.code == code, ended.err
        assert ended.err.count(line) == 1, ended.err
        assert ended.err.count("Traceback") == (code == 1), ended.err
        assert "reached the end" not in ended.out


@pytest.mark.parametrize("mpi", MPIS)
def test_errors_of_the_package_have_no_traceback(mpi):
    ended = on_ranks(mpi, 3, VICTIM, "refuse_input", "one")
    assert ended.code == 65
    assert f"error on rank 1 of 3 on {HOST}: line 7 is not a number" in ended.err
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


def test_failure_is_reported_once_over_the_network():
    """MPICH with each rank as a host of its own."""
    ended = on_ranks("mpich", 3, VICTIM, "raise_error", "all", MPIR_CVAR_NOLOCAL="1")
    assert ended.code == 1
    assert ended.err.count("Traceback") == 1, ended.err
    assert "ValueError on rank 0 of 3" in ended.err


@pytest.mark.parametrize("mpi", MPIS)
def test_agreed_error_is_reported_once_with_its_rank(mpi):
    ended = on_ranks(mpi, 3, VICTIM, "agreed_error", "all")
    assert ended.code == 1
    assert ended.err.count("ValueError: boom") == 2, ended.err  # note and error
    assert f"raised on rank 1 of 3 on {HOST}" in ended.err


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize(("how", "code"), [("exit_3", 3), ("exit_0", 0)])
def test_exit_of_all_ranks_prints_nothing(mpi, how, code):
    ended = on_ranks(mpi, 3, VICTIM, how, "all")
    assert ended.code == code
    assert "mpiapps" not in ended.err


@pytest.mark.parametrize("mpi", MPIS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_mpiexec_ends_all_ranks(mpi, number):
    """The ranks are blocked inside MPI, where only a thread handles the signal."""
    command = [str(bin_directory(mpi) / "python"), "scripts/on_ranks.py", "3", VICTIM]
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


# The processes that get SIGKILL.
KILLED = {
    "the launcher": lambda launcher, _daemons, _ranks: [launcher],
    "launcher and daemons": lambda launcher, daemons, _ranks: [launcher, *daemons],
    "all but a rank": lambda launcher, daemons, ranks: [
        launcher, *daemons, *ranks[:-1]
    ],
}  # fmt: skip


@pytest.mark.parametrize("who", KILLED)
def test_idle_ranks_end_with_a_killed_launcher(who):
    with ThreadPoolExecutor() as pool:  # in parallel: they mostly wait
        list(pool.map(kill_idle_run, MPIS, [KILLED[who]] * len(MPIS)))


def test_blocked_ranks_are_killed_after_their_launcher():
    select, how = KILLED["launcher and daemons"], "hold_the_gil_at_the_end"
    with ThreadPoolExecutor() as pool:
        list(pool.map(kill_idle_run, MPIS, [select] * len(MPIS), [how] * len(MPIS)))


def kill_idle_run(mpi, select, how="be_idle"):
    mark = f"mpiapps-test-{uuid.uuid4()}"
    command = [str(bin_directory(mpi) / "python"), "scripts/on_ranks.py", "3", VICTIM]
    with subprocess.Popen(
        [*command, how, "all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(FAILURE_MARK=mark),
    ) as started:
        assert started.stdout.readline().strip("\0\n") == "waiting"
        children = set(marked(mark)) - {started.pid}
        ranks = sorted(children & set(map(int, ranks_of(VICTIM))))
        assert len(ranks) == 3
        for pid in select(started.pid, children - set(ranks), ranks):
            os.kill(pid, signal.SIGKILL)
        try:
            until_gone(lambda: marked(mark), EXIT_SECONDS)
        finally:
            for pid in marked(mark):
                os.kill(pid, signal.SIGKILL)


def until_gone(running, seconds):
    deadline = time.monotonic() + seconds
    while pids := running():
        assert time.monotonic() < deadline, f"still running: {pids}"
        time.sleep(0.1)


def ranks_of(script):
    """Return the processes that run `script`."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            argv = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if script.encode() in argv:
            pids.append(path.parent.name)
    return pids
