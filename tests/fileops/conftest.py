"""Directories common to all ranks."""

from pathlib import Path

import pytest

from mpiapps.fileops import segments, windows


@pytest.fixture
def place(world, tmp_path):
    """Return a directory common to all ranks."""
    path = Path(world.comm.bcast(str(tmp_path / "in")))
    path.mkdir(exist_ok=True)
    world.comm.Barrier()
    return path


@pytest.fixture
def on_root(world):
    """Call a function on the root; the other ranks wait for it."""

    def call(function, *args):
        if world.is_root:
            function(*args)
        world.comm.Barrier()

    return call


@pytest.fixture
def small_segments(monkeypatch):
    """Split files that are small, also compressed ones."""
    monkeypatch.setattr(segments, "MIN_SEGMENT_BYTES", 97)
    monkeypatch.setattr(segments, "MAX_SEGMENT_BYTES", 997)
    monkeypatch.setattr(segments, "MIN_COMPRESSED_BYTES", 1)
    monkeypatch.setattr(windows, "WINDOW_BYTES", 53)
