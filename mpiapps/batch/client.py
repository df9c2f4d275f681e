"""Run the commands of a scheduler, without a shell."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from mpiapps.base.errors import LaunchError

COMMAND_TIMEOUT = 60  # s, time limit of a scheduler's command


class CommandError(LaunchError):
    """A command of a scheduler has failed, or has given no answer."""


def run_command(
    command: Sequence[str],
    environment: Mapping[str, str],
    accepted: str = "",
    stdin: Path | None = None,
) -> str:
    """Return the output of `command`.

    Parameters
    ----------
    command : sequence of str
    environment : mapping of str
    accepted : str
        Pattern of an error that answers the question, such as that of an unknown job.
    stdin : Path, optional
        File to read as standard input.

    Raises
    ------
    CommandError
        If it is missing, times out, or fails in another way.
    """
    try:
        with Path(stdin or os.devnull).open(encoding="utf-8") as stream:
            process = subprocess.run(
                list(command),
                stdin=stream,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_TIMEOUT,
                env=environment,
                check=False,
            )
    except OSError as error:
        message = f"no {command[0]} on this host; is it a login node of the cluster?"
        raise CommandError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{command[0]} gave no answer in {COMMAND_TIMEOUT} s"
        raise CommandError(message) from error
    message = process.stderr.strip() or process.stdout.strip() or "no message"
    if process.returncode == 0 or (accepted and re.search(accepted, message)):
        return process.stdout
    raise CommandError(f"{command[0]} (exit code {process.returncode}): {message}")
