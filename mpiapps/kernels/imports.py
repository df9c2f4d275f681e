"""Imports of parts of packages: what a rank does not need costs time and memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, cast

PARENT = "scipy.linalg"


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let the import of a module fail in the block, unless it is loaded. Local."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = cast(Any, None)  # its import fails, as Python documents
    try:
        yield
    finally:
        del sys.modules[name]


def cython_routines(name: str) -> Mapping[str, object]:
    """Return the routines of ``scipy.linalg.cython_blas`` or ``cython_lapack``. Local.

    They are in extension modules that need no other module. ``scipy.linalg`` itself
    imports 200 modules, numpy.f2py among them: 0.1 s and 25 MB for each rank. A later
    import of it, and of the extension module, works as ever.
    """
    module: Any
    if PARENT in sys.modules:
        module = import_module(f"{PARENT}.{name}")
        return cast("Mapping[str, object]", module.__pyx_capi__)
    import scipy

    parent = ModuleType(PARENT)
    parent.__path__ = [f"{path}/linalg" for path in scipy.__path__]
    sys.modules[PARENT] = parent
    try:
        module = import_module(f"{PARENT}.{name}")
        return cast("Mapping[str, object]", module.__pyx_capi__)
    finally:
        del sys.modules[PARENT]
        sys.modules.pop(f"{PARENT}.{name}", None)
