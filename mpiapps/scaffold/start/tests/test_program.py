"""The result is the same on any number of ranks."""

import pytest
from myprogram.program import PROGRAM

from mpiapps.app.context import RunContext
from mpiapps.comm.world import World


@pytest.mark.parametrize(
    ("n", "primes"), [(0, 0), (2, 0), (3, 1), (5, 2), (100, 25), (10_000, 1229)]
)
def test_primes_are_counted(world: World, n: int, primes: int) -> None:
    """Compare with known numbers of primes. Collective."""
    options = PROGRAM.options(n=n)
    result = PROGRAM.run(RunContext.make(world, PROGRAM.name, options), options)
    assert result.values == {"primes": primes}
