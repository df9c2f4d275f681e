"""`mpiapps completion` in zsh and fish, which the test cluster installs."""

import os
import pty
import select
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.cluster
LINES = [("mpiapps run pi --sam", "--samples"), ("mpiapps run mat", "matrix")]


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """Return a function that writes the script of a shell."""

    def write(shell):
        path = tmp_path_factory.mktemp(shell) / "_mpiapps"
        argv = [sys.executable, "-m", "mpiapps", "completion", shell]
        path.write_bytes(
            subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout
        )
        return path

    return write


def test_fish_offers_programs_and_options(script):
    path = script("fish")
    for line, offered in LINES:
        argv = ["fish", "-c", f"source {path}; complete -C '{line}'"]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
        assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [offered]


@pytest.mark.parametrize(
    "start",
    [
        "fpath=({0} $fpath); autoload compinit; compinit -u -D",
        "autoload compinit; compinit -u -D; source {0}/_mpiapps",
        "autoload compinit; compinit -u -D; source <(cat {0}/_mpiapps)",
    ],
    ids=["fpath", "source", "pipe"],
)
def test_zsh_completes_programs_and_options(script, start):
    path = script("zsh")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        start = start.format(path.parent)
        os.write(terminal, f"PS1=; {start}; echo ready$((1))\n".encode())
        read_until(terminal, b"ready1")
        for line, offered in LINES:
            os.write(terminal, line.encode() + b"\t")
            rest = offered.removeprefix(line.split()[-1])
            read_until(terminal, rest.encode())
            os.write(terminal, b"\x15")  # clears the line
    finally:
        os.close(terminal)
        os.waitpid(pid, 0)


def read_until(terminal, text, limit=30):
    """Read the output of a terminal until it contains `text`."""
    found, end = b"", time.monotonic() + limit
    while text not in found:
        assert time.monotonic() < end, found
        if select.select([terminal], [], [], 1)[0]:
            found += os.read(terminal, 4096)
