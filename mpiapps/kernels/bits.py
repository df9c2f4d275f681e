"""Operations on 64-bit words, and on eight or 64 bytes at once, for kernels.

Each is one LLVM operation, which a processor has as one or a few instructions; Numba
has no names for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from mpiapps.kernels.jit import kernel

WORD_BYTES = 64  # that `matches` compares
_WORD, _TWO_WORDS = ir.IntType(64), ir.IntType(128)
_DEFINED = ir.IntType(1)(0)  # the count of zeros of 0 is defined
_BYTES = ir.VectorType(ir.IntType(8), WORD_BYTES)
_LANE = ir.IntType(32)
_LANES = ir.VectorType(_LANE, WORD_BYTES)


def _unary(result: Any, build: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Return an intrinsic of a uint64; `build` gets the builder and the value."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return build(builder, args[0])

    def typed(_context: Any, _value: Any) -> Any:
        return result(types.uint64), code

    return cast(Callable[..., Any], intrinsic(typed))


# Return the number of zero bits below the lowest one of a uint64; 64 for 0.
trailing_zeros = _unary(types.int64, lambda builder, x: builder.cttz(x, _DEFINED))
# Return the number of zero bits above the highest one of a uint64; 64 for 0.
leading_zeros = _unary(types.int64, lambda builder, x: builder.ctlz(x, _DEFINED))
# Return the number of ones in a uint64.
count_ones = _unary(types.int64, lambda builder, x: builder.ctpop(x))
# Return the float64 that has the bits of a uint64.
as_float64 = _unary(
    types.float64, lambda builder, x: builder.bitcast(x, ir.DoubleType())
)


@intrinsic
def _as_int64(_context: Any, _value: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], _WORD)

    return types.int64(types.float64), code


# Return the bits of a float64 as an int64.
as_int64 = cast(Callable[..., Any], _as_int64)


@intrinsic
def _prefetch(_context: Any, array: Any, _index: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        function = builder.module.declare_intrinsic(
            "llvm.prefetch",
            [byte],
            ir.FunctionType(ir.VoidType(), [byte, number, number, number]),
        )
        address = builder.bitcast(builder.gep(data, [args[1]]), byte)
        # For reading, into all caches, as data.
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.none(array, types.int64), code


# Request the cache line of an element of a 1-D array, which may be behind its end.
prefetch = cast(Callable[..., Any], _prefetch)


@intrinsic
def _high(_context: Any, _a: Any, _b: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        a, b = (builder.zext(word, _TWO_WORDS) for word in args)
        high = builder.lshr(builder.mul(a, b), _TWO_WORDS(64))
        return builder.trunc(high, _WORD)

    return types.uint64(types.uint64, types.uint64), code


# Return the high 64 bits of the product of two uint64.
high_product = cast(Callable[..., Any], _high)


def _read(kind: Any, result: Any) -> Callable[..., Any]:
    """Return an intrinsic of an address and an offset that reads an LLVM type."""

    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(builder.add(*args), kind.as_pointer())
        return builder.load(pointer, align=1)

    def typed(_context: Any, _address: Any, _offset: Any) -> Any:
        return result(types.uint64, types.int64), code

    return cast(Callable[..., Any], intrinsic(typed))


# Return one, four or eight bytes as an integer, at an offset from the address of an
# array, which is ``array.ctypes.data``. Unlike an array, which is counted as referenced
# at each call, an address costs nothing to pass. The caller checks the bounds.
read_byte = _read(ir.IntType(8), types.uint8)
read_uint32 = _read(_LANE, types.uint32)
read_word = _read(_WORD, types.uint64)


@intrinsic
def _matches(_context: Any, _address: Any, _offset: Any, _byte: Any) -> Any:
    def code(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        address = builder.add(args[0], args[1])
        block = builder.load(builder.inttoptr(address, _BYTES.as_pointer()), align=1)
        undefined = ir.Constant(_BYTES, ir.Undefined)
        first = builder.insert_element(undefined, args[2], _LANE(0))
        wanted = builder.shuffle_vector(first, undefined, _LANES(None))
        return builder.bitcast(builder.icmp_unsigned("==", block, wanted), _WORD)

    return types.uint64(types.uint64, types.int64, types.uint8), code


# Return which of 64 bytes, at an offset from an address, equal a byte: bit k of the
# uint64 for the byte k. The caller checks the bounds.
matches = cast(Callable[..., Any], _matches)


@kernel
def copy_rest(block: np.ndarray, begin: int, padded: np.ndarray) -> None:
    """Copy less than `WORD_BYTES` bytes, from `begin` to the end, and zeros after them.

    An assignment of slices would do, but takes four seconds to compile: numba compiles
    the text of its error message, too.
    """
    for k in range(WORD_BYTES):
        padded[k] = block[begin + k] if begin + k < len(block) else 0
