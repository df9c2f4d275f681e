"""Whatever a command does, it is the child's affair, and nothing of it is left."""

import os
import signal
import time

import pytest

from mpiapps.base.session import of_session
from mpiapps.farming import child
from mpiapps.farming.child import Child, Limits


@pytest.fixture
def run(tmp_path):
    """Return what runs a command, and gives how it ended and what it printed."""

    def done(command, folder="", **limits):
        log = tmp_path / "log"
        log.unlink(missing_ok=True)
        begun = Child(command, str(log), os.environ, str(folder), Limits(**limits))
        ended = begun.wait()
        assert not begun.pid or of_session(begun.pid) == []
        return ended, log.read_text()

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


def test_who_ignores_the_end_is_killed(run, monkeypatch):
    monkeypatch.setattr(child, "GRACE", 0.3)
    ended, said = run("trap 'echo no' TERM; while :; do sleep 0.05; done", seconds=0.2)
    assert (ended.code, ended.why) == (-signal.SIGKILL, "time")
    assert "no" in said


def test_its_memory_is_limited(run):
    ended, _ = run(
        "python3 -c 'x = bytearray(400 * 2**20); import time; time.sleep(60)'",
        memory=200 * 2**20,
    )
    assert (ended.code, ended.why) == (-signal.SIGKILL, "memory")
    assert ended.memory > 200 * 2**20


def test_what_it_leaves_running_ends_with_it(run):
    ended, _ = run("sleep 60 & (trap '' HUP TERM; sleep 60) & exit 0")
    assert ended.code == 0


def test_a_folder_that_is_gone(run, tmp_path):
    ended, said = run("true", folder=tmp_path / "gone")
    assert (ended.code, ended.why) == (127, "not started")
    assert "mpiapps: cannot start: " in said
    ended, _ = run("rmdir $PWD && exit 4", folder=_made(tmp_path / "mine"))
    assert ended.code == 4


def _made(path):
    path.mkdir()
    return path


def test_it_may_be_stopped(tmp_path):
    begun = Child("sleep 60", str(tmp_path / "log"), os.environ)
    assert begun.look() is None
    begun.stop()
    ended = begun.wait()
    assert (ended.code, ended.why) == (-signal.SIGTERM, "stopped")
    assert begun.look() is ended


def test_a_terminal_is_never_read(run):
    started = time.monotonic()
    ended, said = run("cat; echo end")
    assert (ended.code, said) == (0, "end\n")
    assert time.monotonic() - started < 30  # it ends at all
