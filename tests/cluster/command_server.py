"""Run `mpiapps` for each line of standard input, in a fork of one process.

Tests ask for the status of runs some hundred times. A fork has imported the package; a
new process imports it for 0.3 s of CPU time, which the jobs on the same cores need.
"""

import json
import os
import sys
import tempfile

from mpiapps import cli
from mpiapps.batch import commands

assert commands  # what `cli` imports late


def answer(words: list[str]) -> dict[str, object]:
    """Run one command; return its exit code and output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            run(words, out.fileno(), err.fileno())
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return {
            "code": os.waitstatus_to_exitcode(status),
            "out": out.read().decode(),
            "err": err.read().decode(),
        }


def run(words: list[str], out: int, err: int) -> None:
    """Run one command in this process, and end it."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    code = 1
    try:
        code = cli.main(words)
    except SystemExit as end:  # wrong options
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
