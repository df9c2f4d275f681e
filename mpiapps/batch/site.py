"""Site files: the settings of a cluster, as TOML in `jobs/sites`."""

from __future__ import annotations

import dataclasses
import difflib
import os
import shlex
import shutil
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mpiapps
from mpiapps.base.errors import UsageError
from mpiapps.batch import quoting

# A command that only this scheduler has: PBS and Grid Engine both have qsub.
COMMANDS = {"slurm": "sbatch", "sge": "qconf", "pbs": "pbsnodes", "lsf": "bsub"}
SCHEDULERS = tuple(COMMANDS)
LAUNCHERS = ("mpiexec", "srun", "srun-pmix", "srun-pmi2")
MPIS = ("openmpi", "mpich", "impi")


@dataclass(frozen=True)
class Site:
    """The settings of a cluster; only `scheduler` is required.

    Attributes
    ----------
    scheduler : {"slurm", "sge", "pbs", "lsf"}
    launcher : {"mpiexec", "srun", "srun-pmix", "srun-pmi2"}
        ``srun`` takes the plugin that fits the MPI.
    mpi : {"openmpi", "mpich", "impi"}
    launch : list of str
        Launch command, in place of the built-in one: ``{ntasks}``, ``{nodes}``,
        ``{ranks_per_node}`` and ``{threads}`` are replaced.
    setup : list of str
        Shell lines for the job, such as ``module load gcc``; copied unquoted.
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
    max_array : int
        Slurm: MaxArraySize, one above the highest index; else the number of elements.
    scratch : str
        Folder on each host for temporary files; the job expands ``$VARIABLES``.
    pmi_library : str
        Path of Slurm's libpmi2.so, for Intel MPI that does not find it.
    """

    scheduler: str
    name: str = ""
    launcher: str = "mpiexec"
    mpi: str = "openmpi"
    launch: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    python: str = ""
    account: str = ""
    queue: str = ""
    directives: tuple[str, ...] = ()
    epilog: tuple[str, ...] = ()
    parallel_environments: dict[str, str] = field(default_factory=dict)
    memory_resource: str = ""
    memory_per_slot: bool = True
    gpu_resource: str = ""
    max_array: int = 0
    scratch: str = ""
    pmi_library: str = ""

    def as_toml(self) -> str:
        """Return the site as text for `read_site`."""
        lines = []
        tables = []
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            if isinstance(value, dict):
                tables += [f"\n[{each.name}]"] if value else []
                tables += [f"{_toml(k)} = {_toml(v)}" for k, v in value.items()]
            elif value not in ("", (), 0):
                lines.append(f"{each.name} = {_toml(value)}")
        return "\n".join([*lines, *tables]) + "\n"


def find_site(name: str, scheduler: str) -> Site:
    """Return the site called `name`, or a default site of `scheduler`.

    Raises
    ------
    UsageError
        If there is no such site, or no name is given and the host has no scheduler.
    """
    if name:
        site = read_site(_path(name))
        if scheduler and scheduler != site.scheduler:
            raise UsageError(
                f"--scheduler {scheduler} and --site {name}, which has"
                f" {site.scheduler}; leave one of them out"
            )
        return site
    found = scheduler or next((s for s, c in COMMANDS.items() if shutil.which(c)), "")
    if not found:
        raise UsageError(
            "no scheduler on this host (none of"
            f" {', '.join(COMMANDS.values())} is on PATH); say which one:"
            f" --scheduler {'|'.join(SCHEDULERS)}, or --site NAME"
        )
    return Site(found, name=found)


def folders() -> list[Path]:
    """Return the folders of site files, in search order."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    given = os.environ.get("MPIAPPS_SITES")
    return [
        *([Path(given)] if given else []),
        Path("jobs/sites"),
        home / "mpiapps" / "sites",
        Path(mpiapps.__file__).parents[1] / "jobs" / "sites",
    ]


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
    known = {each.name: each for each in dataclasses.fields(Site)}
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1) or sorted(known)
            raise UsageError(f"{path}: unknown key {key!r}; use {', '.join(close)}")
        _check_value(path, key, value, str(known[key].type))
    if "scheduler" not in values:
        raise UsageError(f"{path}: scheduler is missing; add scheduler = 'slurm'")
    lists = {k: tuple(v) for k, v in values.items() if isinstance(v, list)}
    site = Site(**{"name": path.stem, **values, **lists})
    for key, allowed in (
        ("scheduler", SCHEDULERS),
        ("launcher", LAUNCHERS),
        ("mpi", MPIS),
    ):
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
    fine = {
        "str": isinstance(value, str),
        "int": isinstance(value, int) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "tuple[str, ...]": isinstance(value, list),
        "dict[str, str]": isinstance(value, dict),
    }[kind]
    if not fine or (kind not in ("int", "bool") and not _all_texts(texts)):
        raise UsageError(f"{path}: {key} = {value!r} is not of type {kind}")
    for text in texts:
        if isinstance(text, str):
            quoting.check_shell_text(text, f"{path}: {key}")


def _all_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _path(name: str) -> Path:
    if "/" in name or name.endswith(".toml"):
        return Path(name)
    for folder in folders():
        if (folder / f"{name}.toml").is_file():
            return folder / f"{name}.toml"
    known = sorted({path.stem for f in folders() for path in f.glob("*.toml")})
    raise UsageError(
        f"no site {quoting.printable(name)}; there are {', '.join(known) or 'none'}."
        f" Make one on a login node: {_remedy()}"
    )


def _remedy() -> str:
    """Return the command that creates a site file in a searched folder."""
    *own, _ = folders()  # the last one may be of an installation
    folder = next((each for each in own if each.is_dir()), own[-1])
    path = shlex.quote(str(folder))
    make = "" if folder.is_dir() else f"mkdir -p {path} && "
    return f"{make}mpiapps site probe > {path}/NAME.toml"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, int):
        return str(value)
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
