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


TABLES = r"""
import sys
from pathlib import Path
from mpiapps.fileops.columns import ColumnHistogram, ColumnMoments, ColumnReader
from mpiapps.fileops.convert import PartWriter
from mpiapps.fileops.csv_header import CSVOptions
from mpiapps.fileops.group import Groups
from mpiapps.fileops.record_reader import RecordReader
from mpiapps.fileops.segments import Segment
from mpiapps.fileops.summary import ColumnSummary
from mpiapps.fileops.tables import TableReader
import numpy as np
name, options, columns = sys.argv[1], CSVOptions(), ("a", "b", "c")
row = '1,2.5,"x, y"\n-7,inf, NA\n 12,1e400,"say ""so"" "\n,nan,z\r\n'
data = "a,b,c\n" + row * 500
Path(name).write_text(data)
table = TableReader(columns, options)
records = RecordReader(columns, options, (), whole=True)
numbers = ColumnReader("b", options)
sample = Segment(0, name, 0, len(data), len(data))
OPERATIONS = {
    "histogram": lambda: [
        ColumnMoments(numbers),
        ColumnHistogram(numbers, np.arange(3.0), ()),
    ],
    "describe": lambda: [ColumnSummary(table)],
    "group": lambda: [Groups(TableReader(("c", "b"), options), recorded=False)],
    "convert": lambda: [
        PartWriter(records, columns, (), Path(name).parent, [sample]),
    ],
}
operations, size = OPERATIONS[sys.argv[2]](), len(data)
operations[0].warm_up()
signatures = {kernel: list(kernel.signatures) for kernel in operations[0].kernels}
half = size // 2 - 5  # inside quotes
for segment in Segment(0, name, 0, half, size), Segment(0, name, half, size, size):
    for operation in operations:
        operation.execute(segment)
for kernel, compiled in signatures.items():
    assert kernel.signatures == compiled, (kernel, kernel.signatures)
"""


@pytest.mark.parametrize("operation", ["histogram", "describe", "group", "convert"])
def test_tables_compile_nothing_after_the_warm_up(tmp_path, operation):
    command = [sys.executable, "-c", TABLES, str(tmp_path / "a.csv"), operation]
    subprocess.run(command, check=True, timeout=120)
