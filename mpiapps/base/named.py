"""What a text such as ``module:name`` names, and modules that may not be there."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpiapps.base.errors import LaunchError, Terminated, UsageError


def see_installed(module: str, extra: str, what: str) -> None:
    """Raise `LaunchError` if a package of an extra is not there. Local; loads none."""
    if importlib.util.find_spec(module) is None:
        pip = f"{sys.executable} -m pip install"
        raise LaunchError(f"{what} needs {module}: {pip} 'mpiapps[{extra}]'")


def needed(module: str, extra: str, what: str) -> Any:
    """Return a module of an extra. Local.

    Raises
    ------
    LaunchError
        If it is not installed: `what` needs it.
    """
    see_installed(module.partition(".")[0], extra, what)
    return importlib.import_module(module)


def named(text: str, what: str = "function") -> Callable[..., Any]:
    """Return the callable that ``module:name`` names. Local.

    The module may lie in the working directory. `what` is what messages call it.

    Raises
    ------
    UsageError
        If there is none, or its module ends or raises something.
    """
    module, _, word = text.partition(":")
    if not word:
        raise UsageError(f"{text!r} names no {what}; give module:{what}")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = importlib.import_module(module)
        for part in word.split("."):
            found = getattr(found, part)
    except Terminated:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{text}: {_what(error)}") from error
    if not callable(found):
        raise UsageError(f"{text} is a {type(found).__name__}, not a {what}")
    called: Callable[..., Any] = found
    return called


def _what(error: BaseException) -> str:
    """Return an error of an import in a line, with the place in the user's module."""
    message = f"{type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    places = [
        f"{each.filename}, line {each.lineno}"
        for each in frames
        if each.filename != __file__ and "importlib" not in each.filename
    ]
    return f"{message} ({places[-1]})" if places else message
