"""Programs that benchmarks compare, which live through many cells, cell by cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from mpiapps.launch.mpiexec import command_line, find_launcher


class Peers:
    """Programs that run one cell after another; each is started when first used.

    They read a request per line of standard input, as JSON, until `null`, and print an
    answer to each.

    Parameters
    ----------
    worker : str
        The program, a Python file whose argument is the name of a peer.
    ranks : mapping of str to int
        Ranks of peers that run on several; others are one process.
    """

    def __init__(self, worker: str, ranks: Mapping[str, int]) -> None:
        self._worker, self._ranks = worker, ranks
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def _start(self, name: str) -> subprocess.Popen[str]:
        words, variables = [self._worker, name], dict[str, str]()
        command = [sys.executable, *words]
        if name in self._ranks:
            command, variables = command_line(find_launcher(), self._ranks[name], words)
        return subprocess.Popen(
            command,
            env=os.environ | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, name: str, request: Any) -> Any:
        """Return the answer of a peer; None if it has ended, as after None."""
        process = self._processes.get(name) or self._start(name)
        self._processes[name] = process
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps(request), file=process.stdin, flush=True)
        if answer := process.stdout.readline():
            return json.loads(answer)
        del self._processes[name]
        process.wait()
        return None

    def end(self, name: str) -> None:
        """End a peer, if it runs; it is started again when it is next used."""
        if name in self._processes:
            self.ask(name, None)

    def close(self) -> None:
        """End all peers."""
        for name in list(self._processes):
            self.end(name)
