"""The ranks of a test: one under pytest, several under `on_ranks.py`."""

from collections.abc import Iterator

import pytest

from mpiapps.comm.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """All ranks of this run. Collective."""
    with World() as world:
        yield world
