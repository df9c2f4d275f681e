"""A stand-in for CuPy on a host without a device; it counts and can delay.

`CountingModule` has the part of CuPy's interface that mpiapps uses. Its arrays hold
NumPy arrays, refuse to become NumPy arrays, or to be mixed with them, as CuPy's do, and
have the address of their memory, which MPI and BLAS take. With ``delayed``, routines
and assignments wait in a queue until the stream is synchronised or read, as kernels
may: whoever reads the memory by its address before has old values.
"""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from scipy.linalg import get_lapack_funcs

from mpiapps.kernels import blas

# Arguments of BLAS: letters by the name of their enumeration, sizes, pointers.
TRANS, UPLO, SIDE, DIAG = b"NTC", b"LU", b"LR", b"NU"
SIGNATURES = {
    "gemm": (TRANS, TRANS, "i", "i", "i", "p", "p", "i", "p", "i", "p", "p", "i"),
    "gemv": (TRANS, "i", "i", "p", "p", "i", "p", "i", "p", "p", "i"),
    "syrk": (UPLO, TRANS, "i", "i", "p", "p", "i", "p", "p", "i"),
    "trsm": (SIDE, UPLO, TRANS, DIAG, "i", "i", "p", "p", "i", "p", "i"),
}
# Positions of factors, which the host reads when the routine is called.
FACTORS = {"gemm": (5, 10), "gemv": (3, 8), "syrk": (4, 7), "trsm": (6,)}
DTYPES = {"s": "f4", "d": "f8", "c": "c8", "z": "c16"}


class CountingArray(NDArrayOperatorsMixin):
    """An array "on the device"."""

    __module__ = "cupy"
    module: CountingModule

    def __init__(self, array):
        self.array = array

    def __del__(self):
        if self.module.queue:  # a queued routine may have its address
            self.module.keep.append(self.array)

    shape = property(lambda self: self.array.shape)
    dtype = property(lambda self: self.array.dtype)
    ndim = property(lambda self: self.array.ndim)
    size = property(lambda self: self.array.size)
    nbytes = property(lambda self: self.array.nbytes)
    itemsize = property(lambda self: self.array.itemsize)
    strides = property(lambda self: self.array.strides)
    T = property(lambda self: type(self)(self.array.T))
    real = property(lambda self: type(self)(self.array.real))
    data = property(lambda self: SimpleNamespace(ptr=self.array.ctypes.data))
    __array_interface__ = property(lambda self: self._missing("__array_interface__"))

    def _missing(self, name):
        raise AttributeError(name)

    @property
    def flags(self):
        flags = self.array.flags
        return SimpleNamespace(
            c_contiguous=flags.c_contiguous, f_contiguous=flags.f_contiguous
        )

    @property
    def __cuda_array_interface__(self):
        interface = self.array.__array_interface__
        return {**interface, "version": 3, "stream": None}

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"{function.__name__} of NumPy was called")

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        assert "where" not in options  # CuPy's ufuncs do not have it
        if out:
            options["out"] = tuple(self.module.unwrapped(out))
        arrays = self.module.unwrapped(inputs)
        self.module.drain()
        return self.module.wrapped(getattr(ufunc, method)(*arrays, **options))

    def __len__(self):
        return len(self.array)

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __format__(self, spec):
        return format(self.get()[()], spec)

    def __getitem__(self, index):
        part = self.array[self.module.index(index)]
        return type(self)(np.asarray(part))

    def __setitem__(self, index, value):
        (source,) = self.module.unwrapped([value])
        where = self.module.index(index)
        # What is read is read when the kernel runs; the index is ready before.
        self.module.enqueue(lambda: self.array.__setitem__(where, source))

    def get(self, out=None):
        return self.module.asnumpy(self, out=out)

    def set(self, host):
        assert type(host) is np.ndarray
        assert (host.shape, host.dtype) == (self.shape, self.dtype)
        self.module.counts["uploads"] += 1
        self.module.drain()
        self.array[...] = host

    def reshape(self, *shape):
        return type(self)(self.array.reshape(*shape))

    def view(self, dtype):
        return type(self)(self.array.view(dtype))

    def copy(self, order="C"):
        self.module.drain()
        return type(self)(self.array.copy(order=order))

    def astype(self, dtype, copy=True):
        self.module.drain()
        return type(self)(self.array.astype(dtype, copy=copy))

    def conj(self):
        self.module.drain()
        return type(self)(np.ascontiguousarray(self.array.conj()))

    def sum(self):
        self.module.drain()
        return type(self)(np.asarray(self.array.sum()))


class CountingModule:
    """Stands in for the module ``cupy``.

    Attributes
    ----------
    counts : Counter
        Calls of routines by name (gemm, syrk, ...), "uploads", "downloads",
        "synchronisations".
    delayed : bool
        Whether routines and assignments wait for a synchronisation.
    """

    __name__ = "cupy"

    def __init__(self):
        self.ndarray = type("ndarray", (CountingArray,), {"module": self})
        self.counts, self.delayed = Counter(), False
        self.queue, self.keep = [], []
        self.cuda = SimpleNamespace(
            cublas=_Blas(self),
            cusolver=_Lapack(self),
            device=SimpleNamespace(
                get_cublas_handle=lambda: 0, get_cusolver_handle=lambda: 0
            ),
            Device=lambda index=0: SimpleNamespace(id=index, use=lambda: None),
            get_current_stream=lambda: SimpleNamespace(
                ptr=0, synchronize=self.synchronize
            ),
            alloc_pinned_memory=bytearray,
            Event=lambda: _Event(self),
            get_elapsed_time=lambda begin, end: 1e3 * (end.time - begin.time),
            runtime=SimpleNamespace(
                getDeviceProperties=lambda _: {"uuid": b"one device"}
            ),
        )

        self.linalg = SimpleNamespace(
            cholesky=lambda a: self.wrapped(np.linalg.cholesky(*self.unwrapped([a]))),
            solve=lambda *ab: self.wrapped(np.linalg.solve(*self.unwrapped(ab))),
        )

    def enqueue(self, kernel):
        self.queue.append(kernel)
        if not self.delayed:
            self.drain()

    def drain(self):
        """Run the queue: what follows in the stream sees its results."""
        while self.queue:
            self.queue.pop(0)()
        self.keep.clear()

    def synchronize(self):
        self.counts["synchronisations"] += 1
        self.drain()

    def unwrapped(self, values):
        """Return the NumPy arrays inside; refuse those that are not inside."""
        arrays = []
        for value in values:
            if isinstance(value, np.ndarray):
                raise TypeError("Unsupported type <class 'numpy.ndarray'>")
            arrays.append(value.array if isinstance(value, self.ndarray) else value)
        return arrays

    def wrapped(self, value):
        if isinstance(value, tuple):
            return tuple(map(self.wrapped, value))
        if isinstance(value, np.ndarray | np.generic):
            return self.ndarray(np.asarray(value))
        return value

    def index(self, index):
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, self.ndarray) for part in parts):
            self.drain()
        arrays = tuple(self.unwrapped(parts))
        return arrays if isinstance(index, tuple) else arrays[0]

    def asarray(self, array):
        if isinstance(array, self.ndarray):
            return array
        self.counts["uploads"] += 1
        return self.ndarray(np.array(array, order="C"))

    def asnumpy(self, array, out=None):
        self.counts["downloads"] += 1
        self.drain()
        if out is None:
            return np.array(array.array, order="C")
        out[...] = array.array
        return out

    def empty(self, shape, dtype=float):
        # Never what a fresh page holds, so that a missing transfer is seen.
        array = np.empty(shape, dtype)
        array.fill(np.nan if array.dtype.kind in "fc" else 1)
        return self.ndarray(array)

    def empty_like(self, array):
        return self.empty(array.shape, array.dtype)

    def hstack(self, arrays):
        self.drain()
        return self.wrapped(np.hstack(self.unwrapped(arrays)))

    def __getattr__(self, name):
        function = getattr(np, name)

        def call(*args, **options):
            self.drain()
            arrays = self.unwrapped(args)
            names = list(options)
            values = self.unwrapped(options.values())
            return self.wrapped(
                function(*arrays, **dict(zip(names, values, strict=True)))
            )

        return call


class _Event:
    def __init__(self, module):
        self._module = module

    def record(self):
        self._module.enqueue(lambda: setattr(self, "time", time.perf_counter()))

    def synchronize(self):
        self._module.synchronize()


class _Blas:
    """``cupy.cuda.cublas``, by the host's BLAS on the same addresses."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        kind = name[1:]
        signature = SIGNATURES[kind]

        def call(_handle, *values):
            assert len(values) == len(signature), name
            arguments, keep = [], []
            for position, (form, value) in enumerate(
                zip(signature, values, strict=True)
            ):
                assert type(value) is int
                if isinstance(form, bytes):
                    arguments.append(ctypes.c_char_p(form[value : value + 1]))
                elif form == "i":
                    arguments.append(ctypes.byref(ctypes.c_int(value)))
                elif position in FACTORS[kind]:
                    size = np.dtype(DTYPES[name[0]]).itemsize
                    keep.append(ctypes.create_string_buffer(size))
                    ctypes.memmove(keep[-1], value, size)
                    arguments.append(keep[-1])
                else:
                    arguments.append(ctypes.c_void_p(value))
            self._module.counts[kind] += 1
            self._module.enqueue(lambda: blas._routine(name)(*arguments))

        return call


class _Lapack:
    """``cupy.cuda.cusolver``, by the host's LAPACK on the same addresses."""

    def __init__(self, module):
        self._module = module

    def __getattr__(self, name):
        if name.endswith("_bufferSize"):
            return lambda *_sizes: 1
        return getattr(self, "_" + name[1:])(np.dtype(DTYPES[name[0]]))

    def _potrf(self, dtype):
        def call(*arguments):
            _handle, uplo, n, a, lda, _work, _size, info = arguments
            self._module.counts["potrf"] += 1
            self._module.drain()
            assert (uplo, lda) == (1, n)
            whole = _at(a, (n, n), dtype)
            routine = get_lapack_funcs("potrf", dtype=dtype)
            whole[...], _at(info, (1,), np.int32)[0] = routine(whole, lower=0, clean=0)

        return call

    def _getrf(self, dtype):
        def call(*arguments):
            _handle, m, n, a, lda, _work, pivots, info = arguments
            self._module.counts["getrf"] += 1
            self._module.drain()
            assert lda == m
            whole = _at(a, (m, n), dtype)
            routine = get_lapack_funcs("getrf", dtype=dtype)
            whole[...], swaps, _at(info, (1,), np.int32)[0] = routine(whole)
            _at(pivots, swaps.shape, np.int32)[:] = swaps + 1

        return call


def _at(address, shape, dtype):
    """Return the column-major array at an address."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = (ctypes.c_char * size).from_address(address)
    return np.frombuffer(memory, dtype).reshape(shape, order="F")
