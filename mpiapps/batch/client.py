"""Asking a scheduler: its commands as they are, without a shell."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mpiapps.base.errors import LaunchError
from mpiapps.batch.state import Seen

Answers = dict[str, Seen]

PATIENCE = 60  # s for a scheduler's command to answer
# A user's defaults for sbatch silently beat what the script says.
OVERRIDES = ("SBATCH_", "SLURM_", "MPIAPPS_")
NEEDED = ("SLURM_CONF",)


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
        done = _run(command, None)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


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
        said = (done.stderr.strip() or done.stdout.strip()) or "no reason given"
        raise LaunchError(f"{command[0]} refused (exit code {done.returncode}): {said}")
    return done.stdout


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
