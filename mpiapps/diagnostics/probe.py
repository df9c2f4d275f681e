"""What a probe is: a function that examines a host, and its findings."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.base.registry import installed, load_extension
from mpiapps.diagnostics.system import System

ERROR, WARNING = "error", "warning"
CERTAIN, LIKELY, POSSIBLE = "certain", "likely", "possible"


class NotApplicable(Exception):
    """Raised by a probe whose subject does not exist; the text says why."""


@dataclass(frozen=True)
class Finding:
    """One problem that a probe has found.

    Attributes
    ----------
    grade : {"error", "warning"}
        An error stops or falsifies runs; a warning costs time, or fails later.
    found : str
        The observed value.
    meaning : str
        Its consequence.
    remedy : str
        The exact command or setting.
    certainty : {"certain", "likely", "possible"}
        Certain: the failing operation was tried, or the conflict is complete.
    """

    grade: str
    found: str
    meaning: str
    remedy: str
    certainty: str = CERTAIN


# It yields findings, and texts about what it has seen: facts that are no problem.
Function = Callable[[System], Iterable[Finding | str]]


@dataclass(frozen=True)
class Probe:
    """A probe: one row of the table in docs/doctor.md.

    Attributes
    ----------
    name : str
    examines : str
        What it looks at.
    symptom : str
        What users observe when it finds something.
    function : callable
        ``function(system)`` yields findings, and facts as texts; it runs in a process
        of its own.
    starts_mpi : bool
        Whether it starts ranks: then only ``mpiapps doctor --job`` executes it.
    limit : float
        Seconds after which it is killed, if not 0.
    """

    name: str
    examines: str
    symptom: str
    function: Function
    starts_mpi: bool = False
    limit: float = 0.0

    def __call__(self, system: System) -> list[Finding]:
        """Return the findings in `system`, as `observe` does."""
        return self.observe(system)[0]

    def observe(self, system: System) -> tuple[list[Finding], list[str]]:
        """Return the findings in `system`, and the facts.

        Raises
        ------
        NotApplicable
            If its subject does not exist there.
        """
        seen = list(self.function(system))
        facts = [item for item in seen if isinstance(item, str)]
        return [item for item in seen if isinstance(item, Finding)], facts


@dataclass(frozen=True)
class Examination:
    """The outcome of one probe.

    Attributes
    ----------
    status : {"ok", "found", "not applicable", "failed", "timed out"}
    reason : str
        Why it is not applicable, or how it failed.
    facts : tuple of str
        What it has seen.
    """

    probe: str
    looked_at: str
    status: str
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    facts: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


_builtin: dict[str, Probe] = {}


def probe(
    name: str,
    *,
    examines: str,
    symptom: str,
    starts_mpi: bool = False,
    limit: float = 0,
) -> Callable[[Function], Probe]:
    """Return a decorator that registers a function as a probe."""

    def register(function: Function) -> Probe:
        _builtin[name] = Probe(name, examines, symptom, function, starts_mpi, limit)
        return _builtin[name]

    return register


def all_probes() -> list[Probe]:
    """Return the probes of this package, then those of other packages.

    A probe of another package is an entry point of the group ``mpiapps.probes``, such
    as ``scratch = "mysite.probes:scratch"``, which loads a `Probe`. One that cannot be
    loaded is a probe that fails.
    """
    package = importlib.import_module("mpiapps.diagnostics.probes")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    added = [
        _load(entry.name, entry.value)
        for entry in installed("probes")
        if entry.name not in _builtin
    ]
    return [*_builtin.values(), *added]


def _load(name: str, target: str) -> Probe:
    try:
        loaded = load_extension(name, target)
        if not isinstance(loaded, Probe):
            raise LaunchError(f"{name}: {target} is a {type(loaded).__name__}, not a"
                              " mpiapps.diagnostics.probe.Probe")  # fmt: skip
    except LaunchError as error:
        message = str(error)

        def fail(_: System) -> Iterable[Finding]:
            raise LaunchError(message)

        return Probe(name, f"entry point {target}", "", fail)
    return loaded
