"""Run the tests on ranks: mpiapps run tests/on_ranks.py -n 2.

Each rank runs all tests. The first failure ends all ranks, since others may wait for
the rank that failed. Arguments are those of pytest.
"""

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from mpiapps.comm import open_world

with open_world() as world:
    output = sys.stdout if world.is_root else io.StringIO()
    with redirect_stdout(output):
        code = pytest.main(["-x", str(Path(__file__).parent), *sys.argv[1:]])
    if code:
        if isinstance(output, io.StringIO):
            sys.stderr.write(f"{world}:\n{output.getvalue()}")
        sys.exit(int(code))
