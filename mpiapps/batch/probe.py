"""What a login node tells of its cluster, as a site file: for `mpiapps site probe`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.batch.client import query_command
from mpiapps.batch.site import Site, find_site
from mpiapps.launch.mpi_wheels import only_mpi

# Resources by which Grid Engine sites count memory; the first that is there is taken.
MEMORY_RESOURCES = ("h_vmem", "mem_free", "h_rss")


def probe(scheduler: str) -> tuple[Site, list[str]]:
    """Ask this host's scheduler; return the site and what could not be told.

    Raises
    ------
    LaunchError
        If the scheduler does not answer.
    """
    found = scheduler or find_site("", "").scheduler
    values, doubts = PROBES[found]()
    if mpi := only_mpi():
        values["mpi"] = mpi
    else:
        doubts.append("mpi: not one MPI wheel in this environment; set it by hand")
    return Site(found, **values), doubts


def _slurm() -> tuple[dict[str, Any], list[str]]:
    told = query_command(["scontrol", "show", "config"])
    if told is None:
        raise LaunchError("scontrol show config gave no answer; is this a login node?")
    config = dict(re.findall(r"^(\w+) *= (.*?) *$", told, re.MULTILINE))
    values: dict[str, Any] = {"name": config.get("ClusterName", "")}
    values["max_array"] = int(config.get("MaxArraySize", "0"))
    queue = re.search(
        r"^(\S+)\*", query_command(["sinfo", "-h", "-o", "%P"]) or "", re.MULTILINE
    )
    if queue:
        values["queue"] = queue[1]
    return values, ["account: not known to the controller; set it if the site asks"]


def _sge() -> tuple[dict[str, Any], list[str]]:
    names = query_command(["qconf", "-spl"])
    if names is None:
        raise LaunchError("qconf -spl gave no answer; is this a submit host?")
    environments = {}
    for name in names.split():
        told = query_command(["qconf", "-sp", name]) or ""
        if rule := re.search(r"^allocation_rule +(\S+)", told, re.MULTILINE):
            environments[name] = rule[1]
    values: dict[str, Any] = {"parallel_environments": environments}
    config = query_command(["qconf", "-sconf"]) or ""
    if most := re.search(r"^max_aj_tasks +(\d+)", config, re.MULTILINE):
        values["max_array"] = int(most[1])
    complexes = {
        words[0]: words
        for line in (query_command(["qconf", "-sc"]) or "").splitlines()
        if len(words := line.split()) >= 8 and not line.startswith("#")
    }
    memory = next((name for name in MEMORY_RESOURCES if name in complexes), None)
    if memory:
        consumable = complexes[memory][5]
        values |= {"memory_resource": memory, "memory_per_slot": consumable == "YES"}
        if consumable == "NO":
            values["memory_per_slot"] = True  # a limit of each process, not a count
    doubts = ["environments are listed by name: leave out those not meant for MPI"]
    return values, doubts


def _pbs() -> tuple[dict[str, Any], list[str]]:
    told = query_command(["qstat", "-Bf"])
    if told is None:
        raise LaunchError("qstat -Bf gave no answer; is this a login node?")
    config = dict(re.findall(r"^ +(\w+) = (.*?) *$", told, re.MULTILINE))
    values: dict[str, Any] = {"max_array": int(config.get("max_array_size", "0"))}
    if "default_queue" in config:
        values["queue"] = config["default_queue"]
    return values, ["account: not known to the server; set it if the site asks"]


def _lsf() -> tuple[dict[str, Any], list[str]]:
    told = query_command(["bparams", "-a"])
    if told is None:
        raise LaunchError("bparams -a gave no answer; is this a login node?")
    values: dict[str, Any] = {}
    if most := re.search(r"MAX_JOB_ARRAY_SIZE *= *(\d+)", told):
        values["max_array"] = int(most[1])
    if queue := re.search(r"DEFAULT_QUEUE *= *(\S+)", told):
        values["queue"] = queue[1]
    return values, ["memory units: the script writes MB; LSF must know the letters"]


PROBES: Mapping[str, Callable[[], tuple[dict[str, Any], list[str]]]] = {
    "slurm": _slurm,
    "sge": _sge,
    "pbs": _pbs,
    "lsf": _lsf,
}
