"""How many random inputs tests try: few, and the same ones, unless MPIAPPS_FUZZ is set.

`MPIAPPS_FUZZ=N` sets the number of inputs of each test, and takes others in each run;
`MPIAPPS_FUZZ_SEED=S` sets the first seed of tests on ranks, which print the seed of an
input that fails.
"""

import os

from hypothesis import settings

FUZZ = int(os.environ.get("MPIAPPS_FUZZ", "0"))
FIRST_SEED = int(os.environ.get("MPIAPPS_FUZZ_SEED", "0"))


def examples(number):
    """Return the settings of a test of Hypothesis."""
    return settings(max_examples=FUZZ or number, derandomize=not FUZZ, deadline=None)


def seeds(number):
    """Return the seeds of a test on ranks, which needs the same inputs on all."""
    return range(FIRST_SEED, FIRST_SEED + (FUZZ or number))
