import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from mpiapps.app import progress

ROOT = SimpleNamespace(size=4, rank=0, is_root=True)
OTHER = SimpleNamespace(size=4, rank=1, is_root=False)


@pytest.fixture(autouse=True)
def _restore():
    yield
    progress.choose("off")


def steps(world, count=100, seconds=100.0, monkeypatch=None):
    """Do `count` steps of a run that takes `seconds`, by a clock of our own."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress.Progress(world, count, "darts") as bar:
        for _ in range(count):
            now[0] += seconds / count
            bar.add(1)


@pytest.mark.parametrize("mode", ["auto", "log"])
def test_a_log_gets_sparse_lines_from_the_root(capsys, monkeypatch, mode):
    progress.choose(mode)
    steps(OTHER, monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""
    steps(ROOT, monkeypatch=monkeypatch)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "mpiapps: 10% of darts after 10 s, about 90 s left"
    assert len(lines) == 9


def test_a_long_run_speaks_every_half_minute_and_a_short_one_not_at_all(
    capsys, monkeypatch
):
    progress.choose("log")
    steps(ROOT, count=1000, seconds=3600, monkeypatch=monkeypatch)
    assert 100 <= len(capsys.readouterr().err.splitlines()) <= 120
    steps(ROOT, seconds=4, monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""


def test_a_bar_is_drawn_where_it_is_asked_for(capsys, monkeypatch):
    progress.choose("bar")
    steps(ROOT, monkeypatch=monkeypatch)
    assert "100%" in capsys.readouterr().err
    steps(OTHER, monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""


def test_off_is_silent(capsys, monkeypatch):
    progress.choose("off")
    steps(ROOT, monkeypatch=monkeypatch)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("mode", ["log", "bar"])
@pytest.mark.parametrize("total", [0, 1, 100])
def test_units_of_no_amount_and_totals_of_nothing_end_no_run(
    capsys, monkeypatch, mode, total
):
    progress.choose(mode)
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress.Progress(ROOT, total, "tasks") as bar:
        for amount in (0, False, 0, total / 2, 0, total / 2, 1):
            now[0] += 31
            bar.add(amount)
    lines = capsys.readouterr().err.splitlines()
    if mode == "log" and total:
        assert lines[0] == "mpiapps: 0% of tasks after 31 s"
        assert "mpiapps: 50% of tasks after 2 min, about 2 min left" in lines


def test_a_share_is_not_printed_as_the_whole(capsys, monkeypatch):
    progress.choose("log")
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with progress.Progress(ROOT, 10, "the bytes", own=True) as bar:
        now[0] += 31
        bar.add(5)
    assert "50% of the bytes of rank 0 after" in capsys.readouterr().err


TOLD = True, "auto", 0.3


@pytest.mark.parametrize(
    ("cold", "mode", "seconds"),
    [TOLD, (True, "auto", 0), (False, "auto", 0.3), (True, "off", 0.3)],
)
def test_compiling_is_told_of_if_it_takes_long(
    capsys, monkeypatch, cold, mode, seconds
):
    monkeypatch.setattr(progress, "NOTE", 0.05)
    world = SimpleNamespace(
        is_root=True,
        timed=lambda _: nullcontext(),
        local_root_first=lambda **_: nullcontext(),
    )
    progress.choose(mode)
    with progress.compiling(world, cold):
        time.sleep(seconds)
    time.sleep(0.1)
    told = progress.COMPILES in capsys.readouterr().err
    assert told == ((cold, mode, seconds) == TOLD)
