"""Extensions by name: those of the package, and entry points of other packages."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from mpiapps.base.errors import LaunchError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints


@cache
def _installed() -> Any:
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    return entry_points()


def installed(kind: str) -> EntryPoints:
    """Return the entry points of other packages of a kind; packages are read once."""
    selected: EntryPoints = _installed().select(group=f"mpiapps.{kind}")
    return selected


def registry(kind: str, builtin: Mapping[str, str]) -> dict[str, str]:
    """Return the extensions of a kind: names, and ``module:object`` that they load.

    Parameters
    ----------
    kind : str
        Other packages add extensions as entry points of the group ``mpiapps.<kind>``.
    builtin : mapping
        The package's own, which no other package replaces.
    """
    added = {entry.name: entry.value for entry in installed(kind)}
    return {**builtin, **added, **builtin}


def load_extension(name: str, target: str) -> Any:
    """Return the object ``module:object`` of the extension `name`.

    Raises
    ------
    LaunchError
        If it cannot be imported.
    """
    try:
        return pkgutil.resolve_name(target)
    except Exception as error:  # any error of another package
        raise LaunchError(
            f"{name}: {target} cannot be loaded: {error!r}; repair its package, or"
            " remove it"
        ) from error
