"""Integer arithmetic on 32 bits without promotion.

Numba promotes integer operations to 64 bits, which would halve the vector lanes of a
loop on 32-bit words and require masks for wrap-around. Each function is one LLVM
instruction on two uint32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_WORD = ir.IntType(32)


def _binary(name: str) -> Callable[..., Any]:
    """Return a Numba intrinsic for the LLVM instruction `name` on two uint32."""

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


# Return the low 32 bits of a uint64.
low = cast(Callable[..., Any], intrinsic(_truncate))
