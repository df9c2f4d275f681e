"""CUDA devices of the hosts of a job: a table, and findings; pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    POSSIBLE,
    WARNING,
    Examination,
    Finding,
)

PROBE = "cuda-devices"
ANSWERS = ("ok", "not applicable")  # status of a probe that knows without a fact


def of_hosts(
    examinations: Mapping[str, Iterable[Examination]],
) -> dict[str, list[str] | None]:
    """Return the devices and the driver of each host; empty if no host has any.

    `None`: unknown, since the probe of the host has failed or the driver has.
    """
    hosts = {host: _facts(rows) for host, rows in examinations.items()}
    return hosts if any(hosts.values()) else {}


def _facts(examinations: Iterable[Examination]) -> list[str] | None:
    for each in examinations:
        if each.probe == PROBE and (each.facts or each.status in ANSWERS):
            return list(each.facts)
    return None


def different(hosts: Mapping[str, Sequence[str] | None]) -> list[Finding]:
    """Return a finding if the hosts have different devices or drivers."""
    values: defaultdict[str, list[str]] = defaultdict(list)
    for host, texts in hosts.items():
        if texts is not None:
            values["; ".join(texts) or "none"].append(host)
    if len(values) < 2:
        return []
    rows = (f"{value} ({', '.join(names)})" for value, names in values.items())
    return [
        Finding(
            WARNING,
            f"CUDA devices differ: {' | '.join(rows)}",
            "All ranks wait for the slowest device; one without a device ends the run.",
            "request one kind of device: --gpus TYPE:N, or --constraint NAME",
            POSSIBLE,
        )
    ]


def isolated(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return a finding for each host whose ranks see different devices.

    Parameters
    ----------
    rows : sequence of mapping
        The rows of `placement.rank_row`; ranks of unknown devices are left out.
    """
    hosts: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["cuda_devices"] is not None:
            hosts[row["host"]].append(row)
    findings = []
    for host, ranks in hosts.items():
        sets = {frozenset(row["cuda_devices"]) for row in ranks}
        if len(sets) < 2:
            continue
        counts = ", ".join(
            f"rank {row['rank']}: {len(row['cuda_devices'])}" for row in ranks
        )
        total = len(frozenset().union(*sets))
        findings.append(
            Finding(
                ERROR if frozenset() in sets else WARNING,
                f"{host}: its {total} CUDA devices are not visible to all ranks"
                f" ({counts})",
                "Ranks cannot copy directly between their devices (CUDA IPC, NVLink):"
                " MPI copies through the host or fails, and NCCL is slow.",
                "request devices per host: mpiapps submit --gpus N; without"
                " --gpus-per-task and --gpu-bind (srun --gpu-bind=none), and without a"
                " wrapper that sets CUDA_VISIBLE_DEVICES",
                LIKELY,
            )
        )
    return findings
