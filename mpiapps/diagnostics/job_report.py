"""The text report of the doctor on ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mpiapps.base.units import format_seconds
from mpiapps.diagnostics.examine import from_dict
from mpiapps.diagnostics.report import as_text as findings_text

GIB = 1024**3


def as_text(values: Mapping[str, Any]) -> str:
    """Return placement, devices, messages, clocks and findings as text.

    Parameters
    ----------
    values : mapping
        The values of the record.
    """
    ranks = [
        [
            str(row["rank"]),
            row["host"],
            row["cpus"],
            row["numa"] or "-",
            str(row["threads"] or "-"),
            ",".join(row["gpus"]) or "-",
            f"{row['memory_bandwidth'] / GIB:.1f} GiB/s",
        ]
        for row in values["placement"]
    ]
    devices = [
        [host, "unknown" if texts is None else "; ".join(texts) or "none"]
        for host, texts in values["cuda_devices"].items()
    ]
    messages = [
        [
            "{} - {}".format(*row["ranks"]),
            "{} - {}".format(*row["hosts"]),
            format_seconds(row["latency"]),
            f"{row['bandwidth'] / GIB:.2f} GiB/s",
        ]
        for row in values["messages"]
    ]
    clocks = [
        [row["host"], f"{row['offset']:+.6f} s", f"{row['error']:.6f} s"]
        for row in values["clocks"][1:]
    ]
    blocks = [
        table(["RANK", "HOST", "CPUS", "NUMA", "THREADS", "GPUS", "COPY"], ranks),
        table(["HOST", "CUDA DEVICES"], devices),
        table(["RANKS", "HOSTS", "LATENCY", "BANDWIDTH"], messages),
        table(["HOST", "CLOCK", "ERROR"], clocks),
        findings_text([from_dict(dict(row)) for row in values["probes"]]),
    ]
    return "\n".join(block for block in blocks if block)


def table(header: list[str], rows: Sequence[list[str]]) -> str:
    """Return rows as aligned columns; empty without rows."""
    if not rows:
        return ""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return "".join(
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        + "\n"
        for row in [header, *rows]
    )
