import time
from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import pytest

from mpiapps.app import progress
from mpiapps.app.context import RunContext

ROOT = SimpleNamespace(size=4, rank=0, is_root=True)
OTHER = SimpleNamespace(size=4, rank=1, is_root=False)


def steps(world, mode, count=100, seconds=100.0, monkeypatch=None):
    """Do `count` steps in `seconds` of a simulated clock."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress.Progress(world, count, "darts", mode=mode) as bar:
        for _ in range(count):
            now[0] += seconds / count
            bar.add(1)


@pytest.mark.parametrize("mode", ["auto", "log"])
def test_a_log_gets_few_lines_from_the_root(capsys, monkeypatch, mode):
    steps(OTHER, mode, monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""
    steps(ROOT, mode, monkeypatch=monkeypatch)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mpiapps: 10% of darts after 10 s, about 90 s left"
    assert len(lines) == 9


def test_a_long_run_logs_every_half_minute_and_a_short_one_never(capsys, monkeypatch):
    steps(ROOT, "log", count=1000, seconds=3600, monkeypatch=monkeypatch)
    assert 100 <= len(capsys.readouterr().err.splitlines()) <= 120
    steps(ROOT, "log", seconds=4, monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""


def test_a_bar_is_drawn_by_the_root_if_requested(capsys, monkeypatch):
    steps(ROOT, "bar", monkeypatch=monkeypatch)
    assert "100%" in capsys.readouterr().err
    steps(OTHER, "bar", monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""


def test_off_is_silent(capsys, monkeypatch):
    steps(ROOT, "off", monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("mode", ["log", "bar"])
@pytest.mark.parametrize("total", [0, 1, 100])
def test_zero_amounts_and_totals_are_allowed(capsys, monkeypatch, mode, total):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress.Progress(ROOT, total, "tasks", mode=mode) as bar:
        for amount in (0, False, 0, total / 2, 0, total / 2, 1):
            now[0] += 31
            bar.add(amount)
    lines = capsys.readouterr().err.splitlines()
    if mode == "log" and total:
        assert lines[0] == "mpiapps: 0% of tasks after 31 s"
        assert "mpiapps: 50% of tasks after 2 min, about 2 min left" in lines


def test_progress_per_rank_names_the_rank(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with RunContext.make(ROOT, progress_mode="log").progress(
        10, "bytes", per_rank=True
    ) as bar:
        now[0] += 31
        bar.add(5)
    assert "50% of bytes of rank 0 after" in capsys.readouterr().err


REPORTED = True, "auto", 0.3


@pytest.mark.parametrize(
    ("cold", "mode", "seconds"),
    [REPORTED, (True, "auto", 0), (False, "auto", 0.3), (True, "off", 0.3)],
)
def test_a_long_compilation_is_reported(capsys, monkeypatch, cold, mode, seconds):
    monkeypatch.setattr(progress, "NOTE", 0.05)
    calls = []

    @contextmanager
    def timed(name):
        yield
        calls.append(name)

    world = SimpleNamespace(
        is_root=True,
        timed=timed,
        local_root_first=lambda **_: nullcontext(),
        comm=SimpleNamespace(Barrier=partial(calls.append, "Barrier")),
    )
    with RunContext.make(world, progress_mode=mode).compiling(cold):
        time.sleep(seconds)
    time.sleep(0.1)
    reported = progress.COMPILES in capsys.readouterr().err
    assert reported == ((cold, mode, seconds) == REPORTED)
    assert calls == ["Barrier", "compile"]  # the wait for other ranks is no work
