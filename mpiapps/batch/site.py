"""What is different from site to site, as data: `jobs/sites/*.toml`."""

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
from mpiapps.batch import words
from mpiapps.batch.request import LAUNCHERS, MPIS, SCHEDULERS

# The command that tells which scheduler a host belongs to. PBS and Grid Engine both
# have qsub, so each is known by what only it has.
COMMANDS = {"slurm": "sbatch", "lsf": "bsub", "sge": "qconf", "pbs": "pbsnodes"}


@dataclass(frozen=True)
class Site:
    """A cluster as job scripts see it; every field but the scheduler has a default.

    Attributes
    ----------
    scheduler : {"slurm", "sge", "pbs", "lsf"}
    launcher : {"mpiexec", "srun", "srun-pmix", "srun-pmi2"}
        ``srun`` takes the plugin that fits the MPI.
    mpi : {"openmpi", "mpich", "impi"}
    launch : list of str
        Words that start the ranks, in place of the table's: ``{ntasks}``, ``{nodes}``,
        ``{ranks_per_node}`` and ``{threads}`` in them are replaced.
    setup : list of str
        Lines of shell for the job, such as ``module load gcc``; trusted as they are.
    python : str
        The interpreter on the hosts. Default is the one that renders the script.
    account, queue : str
        Taken where the request names none.
    directives : list of str
        Further options for each job, such as ``--constraint=ib``.
    epilog : list of str
        Lines of shell for the first host after the ranks have ended.
    parallel_environments : table of str
        Grid Engine: name of each with its allocation rule.
    memory_resource : str
        Grid Engine: the resource that memory is asked by, such as ``h_vmem``.
    memory_per_slot : bool
        Grid Engine: whether that is counted per slot rather than per job and host.
    gpu_resource : str
        Grid Engine: the resource that GPUs are asked by, per slot.
    max_array : int
        Slurm: the first index that is refused (MaxArraySize); else the most elements.
    scratch : str
        Folder on each host for temporary files; ``$VARIABLES`` are the job's.
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
        """Return the text that `read_site` reads back. Local."""
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
    """Return the site called `name`, or what is known of `scheduler` alone. Local.

    Raises
    ------
    UsageError
        If there is no such site, or neither a name nor a scheduler is to be found.
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
    """Return where site files are looked for, in this order. Local."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    given = os.environ.get("MPIAPPS_SITES")
    return [
        *([Path(given)] if given else []),
        Path("jobs/sites"),
        home / "mpiapps" / "sites",
        Path(mpiapps.__file__).parents[1] / "jobs" / "sites",
    ]


def read_site(path: Path) -> Site:
    """Return the site that the TOML file `path` describes. Local.

    Raises
    ------
    UsageError
        If it cannot be read, or a key or value is not what `Site` knows.
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
            words.body(text, f"{path}: {key}")


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
        f"no site {words.printable(name)}; there are {', '.join(known) or 'none'}."
        f" Make one on a login node: {_remedy()}"
    )


def _remedy() -> str:
    """Return the command that makes a site file where it is found again."""
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
