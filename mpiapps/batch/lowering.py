"""Scheduling options of a request as directives of one scheduler, from a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

from mpiapps.base.errors import UsageError
from mpiapps.batch import quoting
from mpiapps.batch.request import DEFAULT_EVENTS, Job
from mpiapps.batch.request_options import SchedulingOptions
from mpiapps.batch.request_values import expand_hosts, mail_events

FEATURE = re.compile(r"(\w+)(?:=([\w.]+))?")


@dataclass(frozen=True)
class Refused:
    """Why a scheduler cannot express an option, and what to do instead."""

    reason: str


# Options that a table lowers; each scheduler's own code handles the other ones.
OWN_CODE = ("account", "queue", "array", "dependency", "mail_user", "directive")
NAMES = (field.name for field in fields(SchedulingOptions))
OPTIONS = ("exclusive", "gpu_mps", *(name for name in NAMES if name not in OWN_CODE))
# Text with {} for the value, or a function that returns directives.
Lowering = str | Refused | Callable[[Job], list[str]]
LoweringTable = Mapping[str, Lowering]


def in_other_directive(_job: Job) -> list[str]:
    """Return no directive, for an option that is part of another one."""
    return []


def lower(job: Job, table: LoweringTable, scheduler: str) -> list[str]:
    """Return the directives of the options of `table` that the request sets.

    Parameters
    ----------
    job : Job
    table : mapping of str
        By name of the field of `Request`.
    scheduler : str
        Name of the scheduler for errors.

    Raises
    ------
    UsageError
        If the scheduler cannot express an option.
    """
    lines: list[str] = []
    for name, lowering in table.items():
        value = getattr(job.request, name)
        if not value:
            continue
        if isinstance(lowering, Refused):
            raise refusal(name, value, f"{scheduler} {lowering.reason}")
        if callable(lowering):
            lines += lowering(job)
        else:
            lines.append(lowering.replace("{}", str(value)))
    return lines


def refusal(name: str, value: object, reason: str) -> UsageError:
    """Return the error for an option that a scheduler cannot express."""
    shown = "" if value is True else f" {quoting.printable(str(value))}"
    return UsageError(f"--{name.replace('_', '-')}{shown}: {reason}")


def refuse_unlowered(job: Job, table: LoweringTable, scheduler: str) -> None:
    """Raise `UsageError` for an option of the request without a row in `table`."""
    for name in OPTIONS:
        value = getattr(job.request, name)
        is_default = name == "mail_type" and value == DEFAULT_EVENTS
        if value and name not in table and not is_default:
            raise refusal(
                name,
                value,
                f"mpiapps has no directive for it on {scheduler}; write the option of"
                f" {scheduler} itself: --directive=OPTION",
            )


def features(job: Job, scheduler: str) -> list[tuple[str, str]]:
    """Return the features of ``--constraint``: names, and values or empty texts.

    Raises
    ------
    UsageError
        Unless they are names, or NAME=VALUE, joined by ``&``.
    """
    text = job.request.constraint
    matches = [FEATURE.fullmatch(part) for part in text.split("&")]
    if not all(matches):
        raise refusal(
            "constraint",
            text,
            f"{scheduler} combines features only by &; write NAME or NAME=VALUE,"
            " joined by &",
        )
    return [(match[1], match[2] or "") for match in matches if match]


def license_counts(job: Job) -> list[tuple[str, int]]:
    """Return names and numbers of ``--licenses``."""
    parts = (part.partition(":") for part in job.request.licenses.split(","))
    return [(name, int(number or 1)) for name, _, number in parts]


def gpus_of_host(job: Job, scheduler: str) -> int:
    """Return the number of GPUs of a host, for a scheduler that counts them per host.

    Requests per rank would be possible on some, but hide the GPUs of the other ranks.

    Raises
    ------
    UsageError
        If they follow from the ranks of a host, whose number the scheduler selects.
    """
    request = job.request
    if not (request.shape.hosts or request.gpus_per_host):
        raise refusal(
            "gpus",
            request.gpus,
            f"{scheduler} gives all ranks of a host its GPUs, and their number follows"
            " from that of the ranks; add --ranks-per-node",
        )
    return request.gpus_of(request.ranks_per_node)


def check_gpus_per_host(job: Job, counts: str) -> None:
    """Refuse ``--gpus N/node`` on any hosts, for a scheduler that `counts` otherwise.

    Raises
    ------
    UsageError
        If the scheduler selects the number of ranks of a host.
    """
    if job.request.gpus_per_host and not job.request.shape.hosts:
        raise refusal(
            "gpus",
            job.request.gpus,
            f"{counts}, and the number of ranks of a host is not known for --ranks"
            " alone; add --ranks-per-node",
        )


def gpu_type_resource(job: Job) -> str:
    """Return the site's resource of the type of a GPU.

    Raises
    ------
    UsageError
        If the site file has none.
    """
    if not job.site.gpu_type_resource:
        raise refusal(
            "gpus",
            job.request.gpus,
            "the site file does not name the resource of the type of GPUs; set"
            " gpu_type_resource, or leave out the type",
        )
    return job.site.gpu_type_resource


def all_hosts(job: Job, scheduler: str) -> list[str]:
    """Return the hosts of ``--nodelist`` for a scheduler that uses no others.

    Raises
    ------
    UsageError
        If the job has more hosts, or any number of hosts.
    """
    hosts, shape = expand_hosts(job.request.nodelist), job.request.shape
    if not shape.hosts:
        raise refusal(
            "nodelist",
            job.request.nodelist,
            f"{scheduler} uses the listed hosts and no others, but not all of them for"
            " --ranks alone; add --nodes or --ranks-per-node",
        )
    if len(hosts) < shape.hosts:
        raise refusal(
            "nodelist",
            job.request.nodelist,
            f"{scheduler} uses the listed hosts and no others; list"
            f" {shape.hosts} hosts",
        )
    return hosts


def niceness(job: Job, most: int, scheduler: str) -> int:
    """Return ``--nice``; raise `UsageError` if it is above `most`."""
    if job.request.nice > most:
        raise refusal("nice", job.request.nice, f"the maximum of {scheduler} is {most}")
    return job.request.nice


def check_events(job: Job, known: Mapping[str, str]) -> None:
    """Raise `UsageError` for events of ``--mail-type`` that are not in `known`."""
    unknown = sorted(mail_events(job.request.mail_type) - set(known))
    if unknown:
        raise refusal(
            "mail_type",
            job.request.mail_type,
            f"only Slurm has {unknown[0]}; use {', '.join(known)} or all",
        )


def mail_letters(job: Job, letters: Mapping[str, str]) -> str:
    """Return the events of ``--mail-type`` as letters of qsub."""
    check_events(job, letters)
    events = mail_events(job.request.mail_type)
    return "".join(letter for event, letter in letters.items() if event in events)
