"""Findings from what the ranks and hosts of a job have measured; pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import mean, median
from typing import Any

from mpiapps.diagnostics.network_interfaces import shared_addresses
from mpiapps.diagnostics.placement import expand
from mpiapps.diagnostics.probe import (
    ERROR,
    LIKELY,
    POSSIBLE,
    WARNING,
    Examination,
    Finding,
)

SKEW_WARNING, SKEW_ERROR = 1.0, 300.0  # s; munge rejects credentials after 300 s
SLOW = 0.5  # of the median
# A version that differs -> grade.
VERSIONS = {
    "python": ERROR,
    "mpiapps": ERROR,
    "mpi4py": ERROR,
    "mpi": ERROR,
    "numpy": WARNING,
    "numba": WARNING,
    "scipy": WARNING,
    "libc": WARNING,
    "cpu": WARNING,
}
Rows = Sequence[Mapping[str, Any]]


def placement(rows: Rows) -> list[Finding]:
    """Return findings on ranks that share cores, and threads beyond their cores."""
    findings = []
    groups: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["host"], row["cpus"]].append(row)
    for (host, text), ranks in groups.items():
        cpus = len(expand(text))
        threads = sum(max(1, row["threads"]) for row in ranks)
        names = ", ".join(str(row["rank"]) for row in ranks)
        if len(ranks) > cpus:
            findings.append(
                Finding(
                    WARNING,
                    f"{host}: {len(ranks)} ranks (rank {names}) share {cpus} CPU(s)"
                    f" {text}",
                    "Ranks that wait take the core from those that compute.",
                    f"at most {cpus} rank(s) per host; if the host has more cores: one"
                    " rank per core (--bind-to core), and no mpiexec that is itself"
                    " bound",
                )
            )
        elif threads > cpus:
            findings.append(
                Finding(
                    WARNING,
                    f"{host}: rank {names}: {threads} BLAS threads on {cpus} CPU(s)"
                    f" {text}",
                    "The threads take turns on these cores.",
                    f"export OMP_NUM_THREADS={max(1, cpus // len(ranks))}, or request"
                    " --threads",
                )
            )
    return findings


def versions(hosts: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """Return a finding for each version that is not alike on all hosts."""
    findings = []
    for name, grade in VERSIONS.items():
        values: defaultdict[str, list[str]] = defaultdict(list)
        for host, row in hosts.items():
            values[row[name]].append(host)
        if len(values) < 2:
            continue
        texts = (f"{value} ({', '.join(names)})" for value, names in values.items())
        meaning = (
            "Results may differ in their last bits, and compiled code may not run."
            if name == "cpu"
            else "Ranks of different versions may exchange messages that the others do"
            " not understand, or differ in results."
        )
        remedy = (
            "request one kind of host, such as --directive=--constraint=NAME"
            if name == "cpu"
            else "use one environment in a directory that all hosts share, and load the"
            " same modules"
        )
        certainty = POSSIBLE if grade == WARNING else LIKELY
        findings.append(
            Finding(
                grade, f"{name} differs: {'; '.join(texts)}", meaning, remedy, certainty
            )
        )
    return findings


def network_addresses(hosts: Mapping[str, Mapping[str, str]]) -> list[Finding]:
    """Return a finding for each address that several hosts have."""
    findings = []
    for address, owners in shared_addresses(hosts).items():
        names = sorted({interface for _, interface in owners})
        where = ", ".join(f"{interface} of {host}" for host, interface in owners)
        findings.append(
            Finding(
                ERROR,
                f"{address} is the address of {where}",
                "A host that connects to it reaches itself: Open MPI hangs in the first"
                " message between hosts.",
                f"export OMPI_MCA_btl_tcp_if_exclude=lo,{','.join(names)}"
                f" PRTE_MCA_prte_if_exclude=lo,{','.join(names)}; or name the right"
                " network: --mca btl_tcp_if_include eth0",
                LIKELY,
            )
        )
    return findings


def clocks(rows: Rows) -> list[Finding]:
    """Return a finding for each host whose clock differs from that of the first."""
    return [
        Finding(
            ERROR if abs(row["offset"]) > SKEW_ERROR else WARNING,
            f"the clock of {row['host']} differs by {row['offset']:+.1f} s from the"
            " first host's",
            "Times of files and logs mislead; munge rejects differences above 300 s.",
            f"ask the site to synchronise {row['host']} (chronyc tracking)",
        )
        for row in rows
        if abs(row["offset"]) > max(SKEW_WARNING, row["error"])
    ]


def locks(rows: Rows, directory: str) -> list[Finding]:
    """Return findings on hosts that do not see files or locks of the first one."""
    unseen = [row["host"] for row in rows if not row["seen"]]
    unlocked = [row["host"] for row in rows if row["seen"] and not row["locked"]]
    findings = []
    if unseen:
        findings.append(
            Finding(
                ERROR,
                f"{directory} is not shared: {', '.join(unseen)} do not see a file that"
                " the first host has created",
                "Input, checkpoints and records are missing on these hosts.",
                "submit from a directory on a shared file system (home, scratch)",
            )
        )
    if unlocked:
        findings.append(
            Finding(
                WARNING,
                f"{directory}: a lock of the first host is not seen on"
                f" {', '.join(unlocked)}",
                "Two runs on different hosts can write the same file; HDF5 too.",
                "do not start two runs in one directory; ask for the mount option flock"
                " (Lustre), or NFS with locks",
            )
        )
    return findings


def connections(rows: Rows) -> list[Finding]:
    """Return findings on hosts that cannot connect to the first one."""
    return [
        Finding(
            ERROR,
            f"{row['host']} cannot connect to {row['target']}: {row['error']}",
            "Dask's workers wait for their scheduler forever.",
            "python -m mpiapps.dask --interface NAME with a network that connects the"
            " hosts; ask the site to open ports between compute hosts",
        )
        for row in rows
        if row["error"]
    ]


def slow_hosts(values: Mapping[str, float], what: str) -> list[Finding]:
    """Return findings on hosts below half the median of at least 3 hosts."""
    if len(values) < 3:
        return []
    middle = median(values.values())
    return [
        Finding(
            WARNING,
            f"{what} of {host} is {value / middle:.0%} of the median",
            "All ranks wait for the slowest.",
            f"exclude the host (--directive=--exclude={host}), and report it",
            POSSIBLE,
        )
        for host, value in values.items()
        if value < SLOW * middle
    ]


def merge_hosts(
    examinations: Mapping[str, Iterable[Examination]],
) -> list[Examination]:
    """Return the probes of all hosts: each finding and status once, with its hosts."""
    found: defaultdict[tuple[str, str, Finding], list[str]] = defaultdict(list)
    others: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for host, rows in examinations.items():
        for row in rows:
            for finding in row.findings:
                found[row.probe, row.looked_at, finding].append(host)
            if not row.findings:
                others[row.probe, row.looked_at, row.status].append(host)
    merged = []
    for (probe, looked_at, finding), names in found.items():
        text = f"{', '.join(sorted(names))}: {finding.found}"
        merged.append(
            Examination(probe, looked_at, "found", (replace(finding, found=text),))
        )
    for (probe, looked_at, status), names in others.items():
        reason = f"on {', '.join(sorted(names))}"
        merged.append(Examination(probe, looked_at, status, reason=reason))
    return merged


def by_host(rows: Rows, values: Iterable[float]) -> dict[str, float]:
    """Return the mean of the ranks' values on each host."""
    of_host: defaultdict[str, list[float]] = defaultdict(list)
    for row, value in zip(rows, values, strict=True):
        of_host[row["host"]].append(value)
    return {host: mean(items) for host, items in of_host.items()}
