"""The options of `render` and `submit`: resources, scheduling, environment."""

from __future__ import annotations

from dataclasses import dataclass

from mpiapps.app.options import option
from mpiapps.batch.launchers import LAUNCHERS
from mpiapps.batch.request_values import (
    parse_gpus,
    parse_mail_types,
    parse_memory,
    parse_moment,
)
from mpiapps.batch.site import MPIS, SCHEDULERS


@dataclass(frozen=True)
class ResourceOptions:
    """What a job gets, and for how long."""

    scheduler: str = option(
        "",
        "scheduler (default: from the site file or this host)",
        choices=tuple(SCHEDULERS),
    )
    site: str = option(
        "", "name or path of a site file (docs/clusters.md lists the directories)"
    )
    nodes: int = option(0, "number of hosts (default: 1)", min=1, max=10**6)
    ranks_per_node: int = option(0, "MPI ranks per host (default: 1)", min=1, max=10**4)
    ranks: int = option(
        0,
        "MPI ranks in total, on any hosts; with --ranks-per-node or --nodes the last"
        " host may have fewer ranks (default: --nodes times --ranks-per-node)",
        min=1,
        max=10**7,
    )
    threads: int = option(1, "cores per rank", min=1, max=10**4)
    memory: int = option(
        0,
        "memory per rank, such as 4G or 4000M (0: default of the queue)",
        type=parse_memory,
        metavar="SIZE",
    )
    time: int = option(3600, "time limit, such as 1h30m", type="walltime", min=60)
    gpus: str = option(
        "",
        "GPUs per rank, of any type or of one; N/node: per host, for any number of"
        " ranks",
        type=parse_gpus,
        metavar="[TYPE:]N[/node]",
    )
    gpu_mps: bool = option(
        False,
        "start NVIDIA's MPS on each host, by which ranks that share a GPU compute on it"
        " at the same time",
    )
    exclusive: bool = option(False, "share the hosts with no other job")


@dataclass(frozen=True)
class SchedulingOptions:
    """Where and when a job may start, and who is informed."""

    account: str = option("", "account to charge (default: from the site file)")
    queue: str = option(
        "",
        "queue or partition, or several: A,B (default: from the site file)",
        alias="partition",
    )
    qos: str = option("", "quality of service; on LSF a service class")
    reservation: str = option("", "reservation to run in")
    constraint: str = option(
        "", "features that the hosts must have, such as ib or 'ib&avx512'"
    )
    nodelist: str = option(
        "", "hosts that the job must include, such as n[1-3],m7", metavar="HOSTS"
    )
    exclude: str = option("", "hosts that the job must not use", metavar="HOSTS")
    licenses: str = option("", "licenses that the job takes: NAME[:N][,NAME[:N]]")
    begin: str = option(
        "",
        "earliest start: 2026-12-01T08:00, or a delay such as 2h",
        type=parse_moment,
        metavar="TIME",
    )
    deadline: str = option(
        "",
        "latest end, as a time or a delay: the job is removed if it cannot end by then",
        type=parse_moment,
        metavar="TIME",
    )
    nice: int = option(
        0, "lower the priority of the job by this number", min=0, max=2147483645
    )
    comment: str = option("", "comment that the scheduler stores with the job")
    clusters: str = option("", "run on one of these clusters: A[,B]")
    array: str = option(
        "",
        "indices of a job array, such as 1-10, 1,3,7 or 1-99:2%4; {index} in the"
        " program's arguments is replaced",
    )
    dependency: str = option(
        "",
        "runs or jobs that must succeed first: ID[,ID]; any:ID if they may fail",
        alias="after",
    )
    mail_user: str = option("", "mail addresses to notify: A@B[,C@D]", alias="mail")
    mail_type: str = option(
        "",
        "events that send mail: begin, end, fail, all or none (default: end,fail)",
        type=parse_mail_types,
        metavar="EVENT[,EVENT]",
    )
    directive: tuple[str, ...] = option(
        (),
        "further option of the submission command, such as"
        " --directive='--switches=1'; may be repeated",
        metavar="OPTION",
        verbatim=True,
    )


@dataclass(frozen=True)
class EnvironmentOptions:
    """Where the program's Python, libraries and data come from."""

    module: tuple[str, ...] = option(
        (),
        "environment module to load, such as gcc/13, after those of the site file; may"
        " be repeated",
        metavar="NAME",
    )
    setup: str = option(
        "", "shell file to read in the job, after the modules", metavar="FILE"
    )
    conda: str = option(
        "", "conda environment, by name or path: its Python runs", metavar="ENV"
    )
    venv: str = option("", "virtual environment: its Python runs", metavar="DIRECTORY")
    container: str = option(
        "",
        "Apptainer image: its Python runs, and mpiexec of the host starts it",
        metavar="IMAGE",
    )
    bind: tuple[str, ...] = option(
        (),
        "directory of the hosts that the container sees; may be repeated",
        metavar="DIRECTORY[:DIRECTORY]",
    )
    before_run: tuple[str, ...] = option(
        (),
        "shell command to run on the first host before the ranks, at each start of the"
        " job; if it fails, the job ends; may be repeated",
        metavar="COMMAND",
    )


@dataclass(frozen=True)
class RunOptions:
    """How the script starts the ranks, stops them and names their files."""

    name: str = option("", "name of the job (default: name of the program)")
    env: tuple[str, ...] = option(
        (), "environment variable of the job", metavar="NAME=VALUE"
    )
    epilog: tuple[str, ...] = option(
        (),
        "shell command to run on the first host after the ranks have ended, at each"
        " start of the job; may be repeated",
        metavar="COMMAND",
        alias="after-run",
    )
    launcher: str = option(
        "", "launcher (default: from the site file)", choices=tuple(LAUNCHERS)
    )
    mpi: str = option("", "MPI (default: from the site file)", choices=MPIS)
    stage: bool = option(
        False,
        "pack the environment once; each host unpacks it and runs Python from its disk",
    )
    python: str = option("", "interpreter on the hosts (default: this one)")
    logs: str = option("logs", "directory for output files and run directories")
    signal_delay: int = option(
        0,
        "time before the limit at which the program stops and saves"
        " (0: a tenth, 20 s to 5 min)",
        type="walltime",
    )
    max_requeues: int = option(20, "maximum number of automatic requeues", min=0)
