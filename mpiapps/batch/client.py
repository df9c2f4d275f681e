"""Asking a scheduler: its commands as they are, without a shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mpiapps.base.errors import LaunchError

PATIENCE = 60  # s for a scheduler's command to answer
# A user's defaults for sbatch silently beat what the script says.
OVERRIDES = ("SBATCH_", "SLURM_", "SQUEUE_", "SACCT_", "MPIAPPS_")
NEEDED = ("SLURM_CONF",)


class NoAnswer(LaunchError):
    """The scheduler cannot be asked: nothing is known of its jobs."""


def environment() -> dict[str, str]:
    """Return this environment without what would override a job script. Local."""
    return {
        name: text
        for name, text in os.environ.items()
        if name in NEEDED or not name.startswith(OVERRIDES)
    }


def ask(command: Sequence[str]) -> str | None:
    """Return what `command` prints, or `None` if it fails or is not there. Local."""
    try:
        return query(command)
    except NoAnswer:
        return None


def query(command: Sequence[str], expected: str = "") -> str:
    """Return what `command` prints; a failure that says `expected` is no error. Local.

    Parameters
    ----------
    command : sequence of str
    expected : str
        Pattern of an error that answers the question, such as that of an unknown job.

    Raises
    ------
    NoAnswer
        If it is not there, does not answer, or fails in another way.
    """
    try:
        done = _run(command, None)
    except OSError as error:
        raise NoAnswer(f"no {command[0]} on this host") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{command[0]} gave no answer in {PATIENCE} s") from error
    if done.returncode == 0 or (expected and re.search(expected, _said(done))):
        return done.stdout
    raise NoAnswer(f"{command[0]}: {_said(done)}")


def tell(command: Sequence[str], stdin: Path | None = None) -> str:
    """Return what `command` prints. Local.

    Raises
    ------
    LaunchError
        If it is not there, fails, or does not answer; with its own words.
    """
    try:
        done = _run(command, stdin)
    except FileNotFoundError as error:
        raise LaunchError(
            f"no {command[0]} on this host; submit from a login node of the cluster"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LaunchError(f"{command[0]} gave no answer in {PATIENCE} s") from error
    if done.returncode != 0:
        raise LaunchError(
            f"{command[0]} refused (exit code {done.returncode}): {_said(done)}"
        )
    return done.stdout


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip() or done.stdout.strip() or "no reason given"


def _run(
    command: Sequence[str], stdin: Path | None
) -> subprocess.CompletedProcess[str]:
    with Path(stdin or os.devnull).open(encoding="utf-8") as stream:
        return subprocess.run(
            list(command),
            stdin=stream,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            env=environment(),
            check=False,
        )
