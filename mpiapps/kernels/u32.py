"""Arithmetic on 32-bit integers that stays 32 bits wide.

Numba promotes every integer operation to 64 bits, so a loop on 32-bit words would run
in half as many vector lanes and its wrap-around would have to be masked by hand. Each
function here is one LLVM instruction on two uint32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD = ir.IntType(32)


def _binary(name: str) -> Callable[..., Any]:
    """Return a jitted-code function for the LLVM instruction `name` on uint32."""

    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return getattr(builder, name)(*args)

    def typed(_context: Any, a: Any, b: Any) -> Any:  # noqa: ARG001 - numba reads them
        return types.uint32(types.uint32, types.uint32), build

    return cast(Callable[..., Any], intrinsic(typed))


add = _binary("add")
mul = _binary("mul")
shr = _binary("lshr")
land = _binary("and_")


def _truncate(_context: Any, value: Any) -> Any:  # noqa: ARG001 - numba reads it
    def build(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.trunc(args[0], _WORD)

    return types.uint32(types.uint64), build


# The low word of a uint64.
low = cast(Callable[..., Any], intrinsic(_truncate))
