"""Memory that other processes of the host map by reference."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

from mpiapps.comm.host_memory import REFERENCES, HostMemory, dumps

READ = """
import pickle, sys
value = pickle.load(sys.stdin.buffer)
print(value["all"].sum(), value["part"].tolist(), value["all"].flags.writeable)
"""


@pytest.fixture
def memory():
    memory = HostMemory(8 * 1000)
    memory.array.view(np.int64)[:] = np.arange(1000)
    yield REFERENCES.map(memory.locations)
    memory.close()


def in_other_process(content):
    done = subprocess.run([sys.executable, "-c", READ], input=content,
                          capture_output=True, check=False)  # fmt: skip
    return done.stdout.decode().strip(), done.stderr.decode()


def test_another_process_maps_arrays_and_their_parts(memory):
    numbers = memory.view(np.int64)
    content = dumps({"all": numbers.reshape(10, 100), "part": numbers[20:4:-5]})
    assert len(content) < 1000
    assert in_other_process(content)[0] == "499500 [20, 15, 10, 5] False"


def test_other_arrays_and_objects_are_pickled_as_they_are(memory):
    del memory
    matrix = sparse.eye_array(3, format="csr")
    value = {"array": np.arange(5.0), "empty": np.empty((0, 3)), "matrix": matrix}
    value |= {"objects": np.array([None, "a"]), "text": np.array(["a", "bc"])}
    found = pickle.loads(dumps(value))
    assert (found["matrix"] != matrix).nnz == 0
    assert found["empty"].shape == (0, 3)
    for name in ("array", "objects", "text"):
        np.testing.assert_array_equal(found[name], value[name])


def test_memory_that_was_closed_is_an_error_and_not_another_memory():
    first = HostMemory(4096)
    content = dumps(REFERENCES.map(first.locations))
    first.close()
    second = HostMemory(4096)  # has the descriptor, and so the path, of the first
    assert second.location[0] == first.location[0]
    out, err = in_other_process(content)
    second.close()
    assert not out
    assert "no longer memory to share" in err


def test_memory_is_freed_with_the_last_array():
    memory = HostMemory(4096)
    part = REFERENCES.map(memory.locations)[10:20]
    memory.close()
    before = REFERENCES.nbytes
    assert part.sum() == 0
    del part
    assert REFERENCES.nbytes == before - 4096
