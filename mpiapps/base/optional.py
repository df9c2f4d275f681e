"""Optional modules, and callables given as ``module:name``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpiapps.base.errors import LaunchError, Terminated, UsageError


def require(module: str, extra: str, what: str) -> None:
    """Raise `LaunchError` if a package of an extra is not installed; import nothing."""
    if importlib.util.find_spec(module) is None:
        pip = f"{sys.executable} -m pip install"
        raise LaunchError(f"{what} needs {module}: {pip} 'mpiapps[{extra}]'")


def import_optional(module: str, extra: str, what: str) -> Any:
    """Return a module of an extra.

    Raises
    ------
    LaunchError
        If it is not installed; `what` is the feature that needs it.
    """
    require(module.partition(".")[0], extra, what)
    return importlib.import_module(module)


def resolve_callable(text: str, what: str = "function") -> Callable[..., Any]:
    """Return the callable of ``module:name``.

    The module may be in the working directory. `what` describes it in errors.

    Raises
    ------
    UsageError
        If it does not exist, or the import of the module fails.
    """
    module, _, name = text.partition(":")
    if not name:
        raise UsageError(f"{text!r} names no {what}; give module:{what}")
    if (cwd := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, cwd)
    try:
        target = importlib.import_module(module)
        for attribute in name.split("."):
            target = getattr(target, attribute)
    except Terminated:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{text}: {_describe(error)}") from error
    if not callable(target):
        raise UsageError(f"{text} is a {type(target).__name__}, not a {what}")
    function: Callable[..., Any] = target
    return function


def _describe(error: BaseException) -> str:
    """Return an import error as one line, with the location in the user's module."""
    message = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    locations = [
        f"{frame.filename}, line {frame.lineno}"
        for frame in frames
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    return f"{message} ({locations[-1]})" if locations else message
