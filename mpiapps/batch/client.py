"""Run the commands of a scheduler, without a shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from mpiapps.base.errors import LaunchError

COMMAND_TIMEOUT = 60  # s, time limit of a scheduler's command


class NoAnswer(LaunchError):
    """The scheduler does not answer: the state of its jobs is unknown."""


def query(
    command: Sequence[str], environment: Mapping[str, str], accepted: str = ""
) -> str:
    """Return the output of `command`.

    Parameters
    ----------
    command : sequence of str
    environment : mapping of str
    accepted : str
        Pattern of an error that answers the question, such as that of an unknown job.

    Raises
    ------
    NoAnswer
        If it is missing, times out, or fails in another way.
    """
    try:
        process = _run(command, environment, None)
    except OSError as error:
        raise NoAnswer(f"no {command[0]} on this host") from error
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(f"{command[0]} gave no answer in {COMMAND_TIMEOUT} s") from error
    message = _message(process)
    if process.returncode == 0 or (accepted and re.search(accepted, message)):
        return process.stdout
    raise NoAnswer(f"{command[0]}: {message}")


def run_checked(
    command: Sequence[str], environment: Mapping[str, str], stdin: Path | None = None
) -> str:
    """Return the output of `command`.

    Raises
    ------
    LaunchError
        If it is missing, fails or times out; with its error message.
    """
    try:
        process = _run(command, environment, stdin)
    except FileNotFoundError as error:
        raise LaunchError(
            f"no {command[0]} on this host; submit from a login node of the cluster"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise LaunchError(
            f"{command[0]} gave no answer in {COMMAND_TIMEOUT} s"
        ) from error
    if process.returncode != 0:
        raise LaunchError(
            f"{command[0]} failed with exit code {process.returncode}:"
            f" {_message(process)}"
        )
    return process.stdout


def _message(process: subprocess.CompletedProcess[str]) -> str:
    return process.stderr.strip() or process.stdout.strip() or "no message"


def _run(
    command: Sequence[str], environment: Mapping[str, str], stdin: Path | None
) -> subprocess.CompletedProcess[str]:
    with Path(stdin or os.devnull).open(encoding="utf-8") as stream:
        return subprocess.run(
            list(command),
            stdin=stream,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_TIMEOUT,
            env=environment,
            check=False,
        )
