"""Site files: the settings of a cluster, as TOML in `jobs/sites`."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mpiapps.base.errors import UsageError
from mpiapps.base.registry import registry
from mpiapps.batch import quoting
from mpiapps.batch.launchers import LAUNCHERS

# Name -> subclass of `mpiapps.batch.scheduler.Scheduler`; the order of detection.
SCHEDULERS = registry(
    "schedulers",
    {
        "slurm": "mpiapps.batch.slurm:Slurm",
        "sge": "mpiapps.batch.sge:GridEngine",
        "pbs": "mpiapps.batch.pbs:Pbs",
        "lsf": "mpiapps.batch.lsf:Lsf",
    },
)
# Annotation of a field of `Site` -> type in TOML.
TYPES = {"str": str, "int": int, "bool": bool}
TYPES |= {"tuple[str, ...]": list, "dict[str, str]": dict}
MPIS = ("openmpi", "mpich", "impi")


@dataclass(frozen=True)
class Site:
    """The settings of a cluster; only `scheduler` is required.

    Attributes
    ----------
    scheduler : str
        A name in `SCHEDULERS`.
    launcher : str
        A name in `LAUNCHERS`; ``srun`` takes the plugin that fits the MPI.
    mpi : {"openmpi", "mpich", "impi"}
    launch : list of str
        Launch command, in place of the built-in one: ``{ntasks}``, ``{nodes}``,
        ``{ranks_per_node}`` and ``{threads}`` are replaced.
    modules : list of str
        Environment modules to load.
    setup : list of str
        Shell lines for the job, such as ``module load gcc``; copied unquoted.
    conda, venv, container : str
        Source of Python for requests without one: see `EnvironmentOptions`.
    binds : list of str
        Directories of the hosts that containers see.
    before_run : list of str
        Shell commands to run on the first host before the ranks.
    python : str
        Interpreter on the hosts. Default is the one that renders the script.
    account, queue : str
        Defaults for requests without them.
    directives : list of str
        Further options for each job, such as ``--constraint=ib``.
    epilog : list of str
        Shell lines that run on the first host after the ranks have ended.
    parallel_environments : table of str
        Grid Engine: allocation rule of each parallel environment, by name.
    memory_resource : str
        Grid Engine: resource for memory requests, such as ``h_vmem``.
    memory_per_slot : bool
        Grid Engine: whether that resource counts per slot, not per job and host.
    gpu_resource : str
        Grid Engine: resource for GPU requests, per slot.
    gpu_type_resource : str
        Grid Engine and PBS: resource for the type of GPUs.
    exclusive_resource : str
        Grid Engine: resource for whole hosts, with the relation ``EXCL``.
    max_array : int
        Slurm: MaxArraySize, one above the highest index; else the number of elements.
    scratch : str
        Directory on each host for temporary files; the job expands ``$VARIABLES``.
    pmi_library : str
        Path of Slurm's libpmi2.so, for Intel MPI that does not find it.
    """

    scheduler: str
    name: str = ""
    launcher: str = "mpiexec"
    mpi: str = "openmpi"
    launch: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    conda: str = ""
    venv: str = ""
    container: str = ""
    binds: tuple[str, ...] = ()
    before_run: tuple[str, ...] = ()
    python: str = ""
    account: str = ""
    queue: str = ""
    directives: tuple[str, ...] = ()
    epilog: tuple[str, ...] = ()
    parallel_environments: dict[str, str] = field(default_factory=dict)
    memory_resource: str = ""
    memory_per_slot: bool = True
    gpu_resource: str = ""
    gpu_type_resource: str = ""
    exclusive_resource: str = ""
    max_array: int = 0
    scratch: str = ""
    pmi_library: str = ""

    def as_toml(self) -> str:
        """Return the site as text for `read_site`."""
        lines, tables = [], []
        for name, value in vars(self).items():
            if isinstance(value, dict):
                tables += [f"\n[{name}]"] if value else []
                tables += [f"{_toml(k)} = {_toml(v)}" for k, v in value.items()]
            elif value not in ("", (), 0):
                lines.append(f"{name} = {_toml(value)}")
        return "\n".join([*lines, *tables]) + "\n"


def read_site(path: Path) -> Site:
    """Return the site of the TOML file `path`.

    Raises
    ------
    UsageError
        If it cannot be read, or a key or value is invalid.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read site file {path}: {error}") from error
    kinds = {field.name: str(field.type) for field in dataclasses.fields(Site)}
    for key, value in values.items():
        if key not in kinds:
            similar = difflib.get_close_matches(key, kinds, n=1) or sorted(kinds)
            raise UsageError(f"{path}: unknown key {key!r}; use {', '.join(similar)}")
        _check_value(path, key, value, kinds[key])
    if "scheduler" not in values:
        raise UsageError(f"{path}: scheduler is missing; add scheduler = 'slurm'")
    lists = {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
    site = Site(**{"name": path.stem, **values, **lists})
    choices = {"scheduler": SCHEDULERS, "launcher": LAUNCHERS, "mpi": MPIS}
    for key, allowed in choices.items():
        if getattr(site, key) not in allowed:
            raise UsageError(
                f"{path}: {key} = {getattr(site, key)!r} is not one of"
                f" {', '.join(allowed)}"
            )
    return site


def _check_value(path: Path, key: str, value: Any, kind: str) -> None:
    texts = value if isinstance(value, list) else [value]
    if isinstance(value, dict):
        texts = [*value, *value.values()]
    is_text = kind not in ("int", "bool")
    if type(value) is not TYPES[kind] or (is_text and {*map(type, texts)} - {str}):
        raise UsageError(f"{path}: {key} = {value!r} is not of type {kind}")
    for text in texts if is_text else []:
        quoting.check_shell_text(text, f"{path}: {key}")


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
