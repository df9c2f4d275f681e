"""Extensions by name: those of the package, and entry points of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points


def registry(kind: str, builtin: Mapping[str, str]) -> dict[str, str]:
    """Return the extensions of a kind: names, and ``module:object`` that they load.

    Parameters
    ----------
    kind : str
        Other packages add extensions as entry points of the group ``mpiapps.<kind>``.
    builtin : mapping
        The package's own, which no other package replaces.
    """
    added = {entry.name: entry.value for entry in entry_points(group=f"mpiapps.{kind}")}
    return {**builtin, **added, **builtin}
