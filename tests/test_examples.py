"""The example programs give the same bits on any number of ranks, also resumed."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest

from mpiapps.app.context import RunContext
from mpiapps.app.program import find_program
from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed
from mpiapps.comm.world import World
from tests.commands import ROOT

pytestmark = pytest.mark.mpi
EXAMPLES = ROOT / "docs" / "examples"


@pytest.fixture
def directory(comm, tmp_path):
    """Return one directory for all ranks."""
    return comm.bcast(tmp_path)


def serial_heat(n, steps):
    """Return the temperatures by the simple program of docs/own-programs.md."""
    u = np.zeros((n + 2, n + 2))
    u[0] = 1
    for _ in range(steps):
        u[:, 0], u[:, -1] = u[:, -2], u[:, 1]
        centre = u[1:-1, 1:-1]
        vertical = u[:-2, 1:-1] - 2 * centre + u[2:, 1:-1]
        horizontal = u[1:-1, :-2] - 2 * centre + u[1:-1, 2:]
        u[1:-1, 1:-1] = centre + 0.2 * (vertical + horizontal)
    return u[1:-1, 1:-1]


class StopAfter(Deadline):
    """A deadline that comes after some steps, not after some time."""

    def __init__(self, steps):
        super().__init__(environ={})
        self.steps = steps

    def remaining(self):
        self.steps -= 1
        return float(self.steps >= 0)


@pytest.mark.parametrize("n", [1, 2, 13])
def test_heat_resumes_with_the_bits_of_the_serial_program(comm, directory, n):
    heat, _ = find_program(str(EXAMPLES / "heat.py"))
    file = directory / "u.npy"
    options = heat.options(n=n, steps=12, output=str(file))
    with World(comm) as world:
        # Of the root alone: the ranks agree on the step in which they stop.
        ctx = RunContext.make(
            world,
            "heat",
            options,
            checkpoint=str(directory / "c"),
            deadline=StopAfter(5),
        )
        with pytest.raises(Checkpointed, match=r"41\.7%"):
            heat.run(ctx, options)
        comm.Barrier()
        assert not file.exists()
        comm.Barrier()
        ctx = replace(ctx, deadline=Deadline(environ={}))
        ctx.checkpoint.deadline = ctx.deadline
        result = heat.run(ctx, options)
    expected = serial_heat(n, 12)
    assert np.load(file).tobytes() == expected.tobytes()
    assert result.values == {"hottest": expected.max()}


def test_sweep_computes_each_task(comm, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)  # functions of tasks are pickled by name
    sweep = import_module("sweep").PROGRAM
    options = sweep.options(rates=2, starts=3, steps=200)
    with World(comm) as world:
        result = sweep.run(RunContext.make(world, "sweep", options), options)
    if comm.rank == 0:
        exponents = result.values["exponents"]
        assert len(exponents) == 6
        assert all(value < 0 for value in exponents[:3])  # a fixed point at rate 2.5
        assert result.values["chaotic_rates"] == [4.0]
