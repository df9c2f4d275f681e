"""The report of `mpiapps doctor`, as text and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import Any

from mpiapps.base.errors import LaunchError
from mpiapps.diagnostics.probe import ERROR, Examination, Finding

UNANSWERED = ("failed", "timed out")
WIDTH = 88


def exit_code(examinations: Sequence[Examination]) -> int:
    """Return 78 if a finding is of grade error, else 0."""
    grades = {f.grade for each in examinations for f in each.findings}
    return LaunchError.exit_code if ERROR in grades else 0


def as_text(examinations: Sequence[Examination], *, verbose: bool = False) -> str:
    """Return facts, findings, what could not be examined, and a count.

    With `verbose`, also a line for each probe.
    """
    facts = [
        f"{each.probe}: {'; '.join(each.facts)}\n"
        for each in examinations
        if each.facts
    ]
    blocks = [*facts, "\n"] if facts else []
    blocks += [
        describe(each.probe, each.looked_at, finding)
        for each in examinations
        for finding in each.findings
    ]
    blocks += [
        f"note: {each.probe} has {each.status}: {each.reason}\n"
        for each in examinations
        if each.status in UNANSWERED
    ]
    if verbose:
        width = max((len(each.probe) for each in examinations), default=0)
        blocks += [
            f"{each.probe:<{width}}  {each.status}: {each.looked_at}"
            + (f" ({each.reason})" if each.reason else "")
            + "\n"
            for each in examinations
        ]
    return "".join([*blocks, summary(examinations)])


def summary(examinations: Sequence[Examination]) -> str:
    """Return one line: numbers of probes and of findings."""
    findings = [f for each in examinations for f in each.findings]
    errors = sum(finding.grade == ERROR for finding in findings)
    applicable = [e for e in examinations if e.status in ("ok", "found")]
    other = len(examinations) - len(applicable)
    counts = f"{len(applicable)} probes, {other} not applicable or without an answer"
    if not findings:
        return f"no findings ({counts})\n"
    return f"{errors} error(s), {len(findings) - errors} warning(s) ({counts})\n"


def describe(name: str, looked_at: str, finding: Finding) -> str:
    """Return a finding as a paragraph."""
    lines = [f"{finding.grade} ({finding.certainty}): {name}: {finding.found}"]
    rows = {
        "looked at": looked_at,
        "meaning": finding.meaning,
        "remedy": finding.remedy,
    }
    for title, text in rows.items():
        # Not wrapped within words: a remedy is copied into a shell.
        lines += textwrap.wrap(
            text,
            WIDTH,
            initial_indent=f"  {title + ':':<11}",
            subsequent_indent=" " * 13,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + "\n\n"


def as_json(examinations: Sequence[Examination], system: dict[str, Any]) -> str:
    """Return the record: environment, examinations, exit code."""
    record = {
        "schema": 1,
        "program": "doctor",
        "system": system,
        "probes": [each.as_dict() for each in examinations],
        "exit_code": exit_code(examinations),
        "finished": True,
    }
    return json.dumps(record, indent=1) + "\n"
