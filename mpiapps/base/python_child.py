"""A child process of this Python that answers a question about the environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence


def run_python(
    argv: Sequence[str], environ: Mapping[str, str], limit: float
) -> subprocess.CompletedProcess[str]:
    """Run this Python with `argv` and without input; return how it ended. Local.

    Parameters
    ----------
    argv : sequence of str
    environ : mapping
        Its environment variables.
    limit : float
        Seconds until it is killed.

    Raises
    ------
    subprocess.TimeoutExpired
        If it was killed.
    OSError
        If it cannot be started.
    """
    return subprocess.run(
        [sys.executable, *argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=dict(environ),
        timeout=limit,
        check=False,
    )
