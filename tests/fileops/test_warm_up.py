"""Kernels are compiled by `warm_up`, so that no timer of the work contains it."""

import subprocess
import sys

import pytest

# In a process of its own: the code that other tests have compiled would hide a fault.
PROGRAM = """
import random, sys
from mpiapps.fileops.count import TextCount
from mpiapps.fileops.segments import Segment
name, options = sys.argv[1], eval(sys.argv[2])
words = [f"w\\u00f6rt{n}" for n in range(5000)] + ["x" * 300_000]
data = " ".join(words).encode() + b"\\xff"
open(name, "wb").write(data)
operation, size = TextCount(**options), len(data)
operation.warm_up()
signatures = {kernel: list(kernel.signatures) for kernel in operation.kernels}
half = size // 2
whole = Segment(1, name, 0, size, size)
parts = [Segment(0, name, 0, half, size), Segment(0, name, half, size, size), whole]
for segment in parts:
    operation.for_root(segment, operation.execute(segment))
open(name, "wb").write(b"\\xc3\\xb6")
list(operation.execute_all([Segment(2, name, 0, 2, 2)]))
for kernel, compiled in signatures.items():
    assert kernel.signatures == compiled, (kernel, kernel.signatures)
"""


@pytest.mark.parametrize(
    "options", [{}, {"encoding": "bytes"}, {"top": True, "recorded": True}]
)
def test_counting_compiles_nothing_after_the_warm_up(tmp_path, options):
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "text"), repr(options)]
    subprocess.run(command, check=True, timeout=120)
