"""A backend that is not installed raises on all ranks, before any fit."""

import importlib.util
from types import SimpleNamespace

import pytest

from mpiapps.app.context import RunContext
from mpiapps.base.errors import LaunchError
from mpiapps.model_selection.backends import executor_of
from mpiapps.model_selection.fits import FitTasks

pytestmark = pytest.mark.mpi


def test_a_package_missing_on_the_root_is_named_on_all_ranks(world, monkeypatch):
    if world.is_root:
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    ctx = RunContext.make(world)
    with pytest.raises(LaunchError, match="pip install ray, or choose another"):
        tasks = FitTasks(SimpleNamespace(nbytes=0))
        list(executor_of("ray")(ctx, tasks, [[0]], lambda: False))
    world.comm.Barrier()
