"""Probes run side by side; one that fails or hangs does not affect the others."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from mpiapps.base.errors import LaunchError
from mpiapps.diagnostics.examine import examine, from_dict
from mpiapps.diagnostics.probe import Finding, NotApplicable, Probe
from mpiapps.diagnostics.report import as_json, as_text, exit_code
from mpiapps.diagnostics.system import System

FINDING = Finding("warning", "found", "meaning", "remedy", "likely")
ERROR = Finding("error", "found", "meaning", "remedy")
LIMIT = 60.0  # s, which no probe here needs


def raises(_system):
    raise ValueError("a reason")


def does_not_apply(_system):
    raise NotApplicable("no Slurm")


def crashes(_system):
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(system):
    subprocess.Popen(["sleep", "1000"], env={"MARK": system.environ["MARK"]})
    signal.pause()


def one(function, limit=0.0):
    return Probe(function.__name__, "a thing", "a symptom", function, limit=limit)


def fine(_system):
    return []


def warns(_system):
    yield FINDING


def large(_system):
    yield Finding("warning", "x" * 1_000_000, "", "")


def test_each_outcome_in_order():
    functions = [raises, fine, does_not_apply, crashes, warns, large]
    outcomes = examine(map(one, functions), System(), LIMIT)
    assert [each.status for each in outcomes] == [
        "failed", "ok", "not applicable", "failed", "found", "found"
    ]  # fmt: skip
    assert outcomes[0].reason == "ValueError: a reason"
    assert outcomes[2].reason == "no Slurm"
    assert "by signal 9" in outcomes[3].reason
    assert outcomes[4].findings == (FINDING,)
    assert len(outcomes[5].findings[0].found) == 1_000_000
    assert examine([], System()) == []


def test_a_probe_that_hangs_is_killed_with_its_children():
    mark = os.urandom(8).hex()
    system = System(environ={"MARK": mark})
    outcomes = examine([one(hangs, limit=0.5), one(warns, limit=LIMIT)], system)
    assert [each.status for each in outcomes] == ["timed out", "found"]
    assert outcomes[0].reason == "no result within 0.5 s"
    text = as_text(outcomes)
    assert "hangs has timed out" in text
    assert "1 warning(s) (1 probes, 1 not applicable or without an answer)" in text
    ended = ["pgrep", "-f", "^sleep 1000$"]
    for _ in range(100):
        pids = subprocess.run(ended, capture_output=True, text=True, check=False).stdout
        environments = [f"/proc/{pid}/environ" for pid in pids.split()]
        if not any(mark in _read(path) for path in environments):
            return
        time.sleep(0.05)
    pytest.fail("the child of the probe is running")


def _read(path):
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def test_the_exit_code_is_that_of_an_error():
    outcomes = examine([one(warns)], System(), LIMIT)
    assert exit_code(outcomes) == 0
    outcomes[0] = from_dict(outcomes[0].as_dict() | {"findings": [vars(ERROR)]})
    assert exit_code(outcomes) == LaunchError.exit_code == 78
    record = json.loads(as_json(outcomes, {}))
    assert record["exit_code"] == 78
    assert list(record)[-1] == "finished"
    assert record["probes"][0]["findings"][0]["remedy"] == "remedy"


def test_the_text_has_each_part_of_a_finding():
    text = as_text(examine([one(warns)], System(), LIMIT))
    for part in ("warning (likely): warns: found", "looked at: a thing",
                 "meaning:   meaning", "remedy:    remedy"):  # fmt: skip
        assert part in text
