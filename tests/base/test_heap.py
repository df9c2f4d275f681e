"""Memory that was freed is used again, without page faults."""

import subprocess
import sys

import pytest

from mpiapps.base.heap import VARIABLES

PROGRAM = """
import resource
from mpiapps.base.heap import keep_freed_memory
keep_freed_memory()

def faults():
    for _ in range(20):
        blocks = [bytearray(2**20) for _ in range(8)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

first = faults()
print(faults() - first)
"""


def faults(monkeypatch, **variables):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-c", PROGRAM]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.processes
def test_blocks_that_were_freed_are_used_again(monkeypatch):
    assert faults(monkeypatch) < 100


@pytest.mark.processes
def test_variables_of_the_user_take_precedence(monkeypatch):
    # 20 times 8 MiB in pages of 4 KiB, which are returned each time.
    assert faults(monkeypatch, MALLOC_TRIM_THRESHOLD_="65536") > 20000
