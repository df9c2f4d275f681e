"""Arrays of Dask from files, in one process.

Dask is loaded by the tests alone, not with this module: it changes how errors of all
others are pickled.
"""

import os

import numpy as np
import pytest

from mpiapps.base.errors import FileAccessError, InputError
from mpiapps.dask_cluster.arrays import from_npy


@pytest.mark.parametrize("chunks", ["auto", (3, -1), (-1, 2), 1])
def test_it_equals_the_array_of_the_file(chunks, tmp_path):
    array = np.arange(70.0).reshape(10, 7)
    np.save(tmp_path / "x.npy", array)
    array_from_dask = from_npy(str(tmp_path / "x.npy"), chunks).compute(
        scheduler="sync"
    )
    assert np.array_equal(array_from_dask, array)


def test_a_changed_file_is_another_array(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(4))
    before = from_npy(str(path))
    assert before.name == from_npy(str(path)).name
    np.save(path, np.ones(4))
    os.utime(path, ns=(1, 2))  # clocks of file systems are coarse
    assert from_npy(str(path)).name != before.name


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", None, b""])
def test_an_invalid_file_is_named_in_the_error(content, tmp_path):
    path = tmp_path / "x.npy"
    if content is None:
        np.save(path, np.array([{}]), allow_pickle=True)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.npy is not a \.npy file of numbers"):
        from_npy(str(path))
    with pytest.raises(FileAccessError, match="cannot read"):
        from_npy(str(tmp_path / "no.npy"))
