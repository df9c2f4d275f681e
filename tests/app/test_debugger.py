"""`--debug-ranks`: a debugger attaches to a rank, stops it, and lets it go on."""

import json
import re
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from mpiapps.app.debugger import wait_for_debugger
from mpiapps.app.program import find_program
from mpiapps.app.runner import main
from mpiapps.base.errors import UsageError
from mpiapps.base.launch_environment import LaunchEnvironment
from tests.commands import (
    LIMIT,
    ROOT,
    bin_directory,
    clean_environment,
    launcher,
    on_ranks,
)

PROGRAM = """
import sys
from dataclasses import dataclass
from mpiapps.app import Program, Result, main

@dataclass(frozen=True)
class Options:
    pass

def run(ctx, options):
    number = 10 * ctx.world.rank
    total = ctx.world.comm.allreduce(number)  # line 12
    return Result({"total": total})

if __name__ == "__main__":
    sys.exit(main(Program("own", "Stop.", Options, run)))
"""
BREAKPOINT = 12


class Client:
    """A client of the debug adapter protocol."""

    def __init__(self, port):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self._file = self._socket.makefile("rwb")
        self._sent = 0

    def send(self, command, **arguments):
        self._sent += 1
        request = {"seq": self._sent, "type": "request", "command": command}
        body = json.dumps(request | {"arguments": arguments}).encode()
        self._file.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._file.flush()

    def wait(self, key, value):
        """Return the content of the next message whose `key` is `value`."""
        while True:
            length = int(self._file.readline().split(b":")[1])
            while self._file.readline().strip():
                pass
            message = json.loads(self._file.read(length))
            if message.get(key) == value:
                assert message.get("success", True), message
                return message.get("body", {})

    def close(self):
        self._file.close()
        self._socket.close()


def attach(line, file, breakpoints=()):
    """Connect to the rank that printed `line`; return number of the rank and client."""
    found = re.fullmatch(
        r"mpiapps: rank (\d) on (\S+) waits for a debugger on 127\.0\.0\.1:(\d+);"
        r" from another host: ssh -L (\S+) (\S+)\n",
        line,
    )
    assert found, line
    rank, host, port, forwarded, target = found.groups()
    assert (forwarded, target) == (f"{port}:127.0.0.1:{port}", host)
    client = Client(int(port))
    client.send("initialize", adapterID="test")
    client.wait("command", "initialize")
    client.send("attach", justMyCode=False)
    client.wait("event", "initialized")
    lines = [{"line": line} for line in breakpoints]
    client.send("setBreakpoints", source={"path": str(file)}, breakpoints=lines)
    client.wait("command", "setBreakpoints")
    client.send("configurationDone")
    client.wait("command", "attach")
    return int(rank), client


def test_a_debugger_stops_ranks_and_lets_them_go_on(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(PROGRAM)
    python = str(bin_directory("openmpi") / "python")
    argv = [str(file), "--debug-ranks", "0,1", "--json", "-"]
    with (
        subprocess.Popen(
            [python, str(ROOT / "scripts" / "on_ranks.py"), "2", *argv],
            env=clean_environment(ON_RANKS_LAUNCHER=launcher("openmpi")),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        ExitStack() as stack,
    ):
        stack.callback(process.kill)
        lines = [process.stderr.readline() for _ in range(2)]
        clients = dict(attach(line, file, [BREAKPOINT]) for line in lines)
        assert sorted(clients) == [0, 1]
        for rank, client in clients.items():
            stack.callback(client.close)
            thread = client.wait("event", "stopped")["threadId"]
            client.send("stackTrace", threadId=thread)
            frame = client.wait("command", "stackTrace")["stackFrames"][0]
            assert frame["line"] == BREAKPOINT
            client.send("evaluate", expression="number", frameId=frame["id"])
            assert client.wait("command", "evaluate")["result"] == str(10 * rank)
            client.send("continue", threadId=thread)
        # The clients are still connected: the run ends without them.
        out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    assert json.loads(out)["values"] == {"total": 10}


def test_without_debugpy_the_error_has_the_remedy(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "debugpy", None)
    with pytest.raises(SystemExit) as ended:
        main(find_program("pi")[0], ["--debug-ranks", "0"])
    assert ended.value.code == 78
    error = capsys.readouterr().err
    assert "--debug-ranks needs debugpy: " in error
    assert "pip install 'mpiapps[debug]'\n" in error


def test_a_rank_that_does_not_exist_is_refused_on_all():
    with pytest.raises(UsageError, match="rank 3 does not exist"):
        wait_for_debugger("0,3", LaunchEnvironment())
    ended = on_ranks("openmpi", 2, "-m", "mpiapps.pi", "--debug-ranks", "2")
    assert ended.code == 2
    assert ended.err.count("--debug-ranks 2: rank 2 does not exist") == 1


def test_no_rank_waits_without_the_option():
    wait_for_debugger("", LaunchEnvironment())
