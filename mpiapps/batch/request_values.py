"""Parsers of the values of a request: memory, GPUs, times, mail events, hosts."""

from __future__ import annotations

import itertools
import math
import re
from datetime import datetime, timedelta

from mpiapps.base.units import parse_size, parse_walltime

# Events that send mail; those of the second line are of sbatch only.
KNOWN_EVENTS = (
    *("begin", "end", "fail", "all", "none"),
    *("requeue", "invalid_depend", "stage_out", "array_tasks"),
    *("time_limit", "time_limit_90", "time_limit_80", "time_limit_50"),
)
EVENTS = re.compile(r"[a-z_0-9]+(,[a-z_0-9]+)*")
GPUS = re.compile(r"(?:([A-Za-z0-9_.-]+):)?([0-9]{1,2})(/node)?")
MAX_GPUS = 64
DATE = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)")
MOMENT = re.compile(r"\+\d{1,9}|\d{4}(-\d\d){2}T\d\d:\d\d:\d\d")  # as parsed
MAX_HOSTS = 10**5
HOST = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]|\[[0-9,-]+\])*"
HOSTS = re.compile(rf"{HOST}(?:,{HOST})*")
NUMBERS = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


def parse_memory(text: str) -> int:
    """Return the bytes in `text`: ``4G``, ``4000M``, ``4gb``, ``4GiB``.

    All units are powers of 1024, as for sbatch, qsub and bsub.

    Raises
    ------
    ValueError
        Also for a nonzero number without a unit, which schedulers read differently.
    """
    number = text.strip()
    if re.fullmatch(r"\d+", number) and int(number):
        raise ValueError(
            f"{number!r} has no unit: Slurm reads {number} MiB, Grid Engine and PBS"
            f" {number} bytes; write {number}M for MiB, {number}B for bytes or"
            f" {number}G for GiB"
        )
    return parse_size(re.sub(r"(?i)(?<=[kmgtp])b$", "", number))


def parse_gpus(text: str) -> str:
    """Return a checked ``[TYPE:]N`` or ``[TYPE:]N/node``; empty for none.

    Raises
    ------
    ValueError
        For anything else, such as ``a100``, which has no number.
    """
    match = GPUS.fullmatch(text)
    if not match or int(match[2]) > MAX_GPUS:
        raise ValueError(
            f"{text!r} is not a number of GPUs up to {MAX_GPUS}; write N or TYPE:N,"
            " such as 2 or a100:2, per rank, or N/node per host"
        )
    return text if int(match[2]) else ""


def parse_moment(text: str) -> str:
    """Return a time as ``2026-12-01T08:00:00``, or a delay in seconds as ``+7200``.

    A delay is written like ``2h``, ``+2h`` or ``now+2h``.

    Raises
    ------
    ValueError
        For anything else, such as ``16:00``, whose day schedulers choose differently.
    """
    expected = "write 2026-12-01T08:00, or a delay with its unit, such as 2h"
    try:
        if match := DATE.fullmatch(text.strip()):
            return datetime.fromisoformat(f"{match[1]}T{match[2]}").isoformat()
        delay = re.sub(r"^(now)?\+", "", text.strip())
        if ":" in delay:
            raise ValueError(f"{text!r} is not a date with a time")
        return f"+{parse_walltime(delay)}"
    except ValueError as error:
        raise ValueError(f"{error}; {expected}") from error


def local_time(moment: str, now: datetime | None = None) -> datetime:
    """Return a moment of `parse_moment` as local time, in full minutes rounded up."""
    if moment.startswith("+"):
        time = (now or datetime.now()) + timedelta(seconds=int(moment[1:]))
    else:
        time = datetime.fromisoformat(moment)
    full = time.replace(second=0, microsecond=0)
    return full if full == time else full + timedelta(minutes=1)


def parse_mail_types(text: str) -> str:
    """Return the events of a list, in lower case.

    Raises
    ------
    ValueError
        For an unknown event, and for ``none`` together with others.
    """
    events = text.lower().split(",")
    if unknown := [event for event in events if event not in KNOWN_EVENTS]:
        expected = ", ".join(KNOWN_EVENTS)
        raise ValueError(f"{unknown[0]!r} is not an event; use {expected}")
    if "none" in events and len(events) > 1:
        raise ValueError(f"{text!r} has none together with other events; leave one")
    return ",".join(dict.fromkeys(events))


def mail_events(text: str) -> set[str]:
    """Return the events; ``all`` is begin, end and fail."""
    events = set(text.split(","))
    return events - {"all"} | ({"begin", "end", "fail"} if "all" in events else set())


def expand_hosts(text: str) -> list[str]:
    """Return the hosts of a list as Slurm writes it: ``n[1-3,07],m1``.

    Numbers keep their leading zeros; several brackets in a name are multiplied.

    Raises
    ------
    ValueError
        If it is not such a list, or has over 100,000 hosts.
    """
    if not HOSTS.fullmatch(text):
        raise ValueError(f"{text!r} is not a list of hosts; write n1,n2 or n[1-4]")
    hosts: list[str] = []
    for name in re.findall(HOST, text):
        parts = re.split(r"\[([^]]*)\]", name)
        choices = [_numbers(part) if i % 2 else [part] for i, part in enumerate(parts)]
        if len(hosts) + math.prod(map(len, choices)) > MAX_HOSTS:
            raise ValueError(f"{text!r} has over {MAX_HOSTS} hosts")
        hosts += ["".join(words) for words in itertools.product(*choices)]
    return list(dict.fromkeys(hosts))


def _numbers(text: str) -> list[str]:
    """Return the numbers of a bracket, with the leading zeros of the first one."""
    numbers: list[str] = []
    for part in text.split(","):
        match = NUMBERS.fullmatch(part)
        first, last = (match[1], match[2] or match[1]) if match else ("1", "0")
        if not 0 <= int(last) - int(first) < MAX_HOSTS:
            raise ValueError(f"[{text}] is not a list of numbers; write [1-4,7]")
        numbers += [f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]
    return numbers
