"""Run the commands of a scheduler, without a shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mpiapps.base.errors import LaunchError

COMMAND_TIMEOUT = 60  # s, time limit of a scheduler's command
# These variables of a user override the directives of the script.
OVERRIDES = ("SBATCH_", "SLURM_", "SQUEUE_", "SACCT_", "MPIAPPS_")
NEEDED = ("SLURM_CONF",)


class NoAnswer(LaunchError):
    """The scheduler does not answer: the state of its jobs is unknown."""


def environment() -> dict[str, str]:
    """Return the environment without variables that override a job script."""
    return {
        name: text
        for name, text in os.environ.items()
        if name in NEEDED or not name.startswith(OVERRIDES)
    }


def query_command(command: Sequence[str]) -> str | None:
    """Return the output of `command`, or `None` if it is missing or fails."""
    try:
        return query(command)
    except NoAnswer:
        return None


def query(command: Sequence[str], expected: str = "") -> str:
    """Return the output of `command`; an error message like `expected` is accepted.

    Parameters
    ----------
    command : sequence of str
    expected : str
        Pattern of an error that answers the question, such as that of an unknown job.

    Raises
    ------
    NoAnswer
        If it is missing, times out, or fails in another way.
    """
    try:
        done = _run(command, None)
    except OSError as error:
        raise NoAnswer(f"no {command[0]} on this host") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{command[0]} gave no answer in {COMMAND_TIMEOUT} s") from error
    if done.returncode == 0 or (expected and re.search(expected, _said(done))):
        return done.stdout
    raise NoAnswer(f"{command[0]}: {_said(done)}")


def run_checked(command: Sequence[str], stdin: Path | None = None) -> str:
    """Return the output of `command`.

    Raises
    ------
    LaunchError
        If it is missing, fails or times out; with its error message.
    """
    try:
        done = _run(command, stdin)
    except FileNotFoundError as error:
        raise LaunchError(
            f"no {command[0]} on this host; submit from a login node of the cluster"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LaunchError(
            f"{command[0]} gave no answer in {COMMAND_TIMEOUT} s"
        ) from error
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
            timeout=COMMAND_TIMEOUT,
            env=environment(),
            check=False,
        )
