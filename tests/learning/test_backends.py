"""A backend that is not installed is an error of all ranks, before any fit."""

import importlib.util

import pytest

from mpiapps.base.errors import LaunchError
from mpiapps.learning.backends import BACKENDS

pytestmark = pytest.mark.mpi


def test_a_package_that_the_root_has_not_is_named_on_all_ranks(world, monkeypatch):
    if world.is_root:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(LaunchError, match="pip install ray, or choose another"):
        BACKENDS["ray"](world, None, [0], None, 1)
    world.comm.Barrier()
