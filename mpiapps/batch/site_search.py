"""Find the site of a request: a site file, or this host's own scheduler."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import mpiapps
from mpiapps.base.errors import UsageError
from mpiapps.batch import quoting
from mpiapps.batch.scheduler import load_scheduler, schedulers
from mpiapps.batch.site import SCHEDULERS, Site, read_site
from mpiapps.launch.mpi_wheels import only_mpi


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
    commands = {row.name: row.detection_command for row in schedulers()}
    names = [name for name, command in commands.items() if shutil.which(command)]
    if not scheduler and not names:
        raise UsageError(
            f"no scheduler on this host (none of {', '.join(commands.values())} is on"
            f" PATH); select one: --scheduler {'|'.join(SCHEDULERS)}, or --site NAME"
        )
    name = scheduler or names[0]
    return Site(name, name=name)


def probe_site(scheduler: str) -> tuple[Site, list[str]]:
    """Return the site of this login node, and what has to be set by hand.

    Raises
    ------
    CommandError
        If the scheduler does not answer.
    """
    name = scheduler or find_site("", "").scheduler
    values, by_hand = load_scheduler(name).site_settings()
    if mpi := only_mpi():
        values["mpi"] = mpi
    else:
        by_hand.append("mpi: not exactly one MPI wheel here; set it by hand")
    return Site(name, **values), by_hand


def directories() -> list[Path]:
    """Return the directories of site files, in search order."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    variable = os.environ.get("MPIAPPS_SITES")
    return [
        *([Path(variable)] if variable else []),
        Path("jobs/sites"),
        home / "mpiapps" / "sites",
        Path(mpiapps.__file__).parents[1] / "jobs" / "sites",
    ]


def _path(name: str) -> Path:
    if "/" in name or name.endswith(".toml"):
        return Path(name)
    for directory in directories():
        if (directory / f"{name}.toml").is_file():
            return directory / f"{name}.toml"
    known = sorted({path.stem for f in directories() for path in f.glob("*.toml")})
    raise UsageError(
        f"no site {quoting.printable(name)}; there are {', '.join(known) or 'none'}."
        f" Create one on a login node: {_remedy()}"
    )


def _remedy() -> str:
    """Return the command that creates a site file in a searched directory."""
    *writable, _ = directories()  # the last one may belong to an installation
    directory = next((path for path in writable if path.is_dir()), writable[-1])
    path = shlex.quote(str(directory))
    create = "" if directory.is_dir() else f"mkdir -p {path} && "
    return f"{create}mpiapps site probe > {path}/NAME.toml"
