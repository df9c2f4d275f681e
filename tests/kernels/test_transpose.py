"""Transposed copies equal NumPy's, whatever the shape, the dtype, and the memory."""

import numpy as np
import pytest

from mpiapps.kernels.transpose import transposed

# With rows or columns of a multiple of 1 KiB, and without.
SHAPES = [(0, 5), (1, 1), (3, 128), (63, 128), (64, 128), (128, 64), (131, 256),
          (257, 255), (130, 4224)]  # fmt: skip
DTYPES = ["f8", "f4", "c16", "c8", "i8", "i4", "?", ">f8", "f2"]


def numbers(shape, dtype):
    values = np.random.default_rng(1).integers(-100, 100, shape)
    if "c" in dtype:
        return (values + 1j * values[::-1]).astype(dtype)
    return values.astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_copy_is_that_of_numpy(shape, dtype):
    array = numbers(shape, dtype)
    for conjugate in (False, True):
        copy = transposed(array, conjugate=conjugate)
        expected = array.T.conj() if conjugate else array.T
        assert copy.dtype == array.dtype
        assert copy.flags.c_contiguous
        assert copy.flags.owndata
        np.testing.assert_array_equal(copy, expected)


@pytest.mark.parametrize(
    "kind", ["read-only", "strided", "column-major", "a row", "into a larger dtype"]
)
def test_memory_of_any_kind(kind):
    array, out = numbers((256, 256), "f4"), None
    if kind == "read-only":
        array.flags.writeable = False
    elif kind == "strided":
        array = numbers((512, 512), "f4")[::2, ::2]
    elif kind == "column-major":
        array = np.asfortranarray(array)
    elif kind == "a row":
        array = np.broadcast_to(array[:1], array.shape)
    else:
        out = np.empty((256, 256))
    copy = transposed(array, out=out)
    assert out is None or copy is out
    np.testing.assert_array_equal(copy, array.T)


def test_nan_keeps_its_bits():
    array = np.full((128, 128), np.nan + 0j)
    array.view(np.uint64)[:] = 0x7FF0_0000_0000_0001  # signalling
    assert (transposed(array).view(np.uint64) == array.view(np.uint64)).all()
