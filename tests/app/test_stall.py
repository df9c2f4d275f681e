"""A run without progress ends with 76, and shows where it stands."""

import pytest

from tests.commands import MPIS, on_ranks

pytestmark = pytest.mark.usefixtures("preloaded")
HANGS = """
import sys, time
from dataclasses import dataclass
from mpiapps.app import Program, Result, main, option

@dataclass(frozen=True)
class Options:
    hang: float = option(0.0, "time of the last step of rank 1")

def run(ctx, options):
    with ctx.progress(3, "steps") as progress:
        for step in range(3):
            time.sleep(0.4)
            progress.add(1)
        if ctx.world.rank == 1:
            time.sleep(options.hang)
    return Result({"steps": 3})

sys.exit(main(Program("hangs", "Hang.", Options, run)))
"""


@pytest.mark.parametrize("mpi", MPIS)
def test_a_run_without_progress_ends(tmp_path, mpi):
    script = tmp_path / "hangs.py"
    script.write_text(HANGS)
    limit = ["--stall-limit", "1s"]  # longer than a step, and shorter than all
    done = on_ranks(mpi, 2, str(script), *limit)
    assert done.code == 0, done.err
    done = on_ranks(mpi, 2, str(script), *limit, "--hang", "50")
    assert done.code == 76
    assert done.err.count("no progress for 1 s (--stall-limit)") == 1
    assert "error on rank 1 of 2" in done.err
    assert "time.sleep(options.hang)" in done.err
