"""Run a learner's file on each rank, and watch where it waits.

usage: mpiexec -n P python observer.py DIRECTORY

The runner starts it by its path: ranks import mpi4py, the file and what that imports,
but nothing of this package. All runs of a check share one start of mpiexec: a run on
fewer ranks replaces ``MPI.COMM_WORLD`` by a communicator of its first ranks.

DIRECTORY/jobs.json lists the runs. For run J, each rank R writes ``J-R.out`` (its
output) and, at its end, ``J-R.json``. ``watch-R.json`` says every `TICK` seconds what
the rank is doing.
"""

from __future__ import annotations

import inspect
import json
import linecache
import os
import re
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from mpi4py import MPI

TICK = 0.1  # s between two samples
MOST = 1000  # elements of a list that are kept
WAIT = re.compile(r"\bwait(all|any|some)?\s*\(", re.IGNORECASE)


class State:
    """What the main thread does; the watching thread samples it."""

    def __init__(self) -> None:
        self.job = -1
        self.file = ""
        self.synchronous = False
        self.calls = 0  # methods of communicators called so far
        self.call: tuple[str, tuple[Any, ...], Mapping[str, Any]] | None = None


STATE = State()
WATCHED: dict[type, type] = {}


def watched(comm: MPI.Comm) -> Any:
    """Return a communicator with the handle of `comm` that notes its calls. Local."""
    base = type(comm)
    if base not in WATCHED:
        methods = {
            name: _noted(name, method)
            for name, method in inspect.getmembers(base, callable)
            if name[0] != "_"
            and not isinstance(
                inspect.getattr_static(base, name), classmethod | staticmethod
            )
        }
        WATCHED[base] = type(base.__name__, (base,), methods)
    return WATCHED[base](comm)


# A standard send may return before the message is received, or wait: libraries differ.
SYNCHRONOUS: dict[str, Callable[..., Any]] = {
    "send": MPI.Comm.ssend,
    "Send": MPI.Comm.Ssend,
}


def _noted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    synchronous = SYNCHRONOUS.get(name, method)

    def call(self: MPI.Comm, *args: Any, **kwargs: Any) -> Any:
        outer, STATE.call = STATE.call, (name, args, kwargs)
        STATE.calls += 1
        try:
            chosen = synchronous if STATE.synchronous else method
            value = chosen(self, *args, **kwargs)
        finally:
            STATE.call = outer
        return watched(value) if type(value) in COMMUNICATORS else value

    return call


COMMUNICATORS = (MPI.Intracomm, MPI.Cartcomm, MPI.Graphcomm, MPI.Distgraphcomm)


def watch(directory: Path, rank: int) -> None:
    """Write what the main thread does, every `TICK` seconds, for ever. Local."""
    main = threading.main_thread().ident or 0
    last: object = None
    ticks = 0
    while True:
        frame = sys._current_frames().get(main)
        place = _place(frame)
        same = (STATE.job, STATE.calls, place)
        ticks = ticks + 1 if same == last else 0
        last = same
        status = {"job": STATE.job, "ticks": ticks, **_described(place)}
        write(directory / f"watch-{rank}.json", status)
        time.sleep(TICK)


def _place(frame: types.FrameType | None) -> tuple[int, int, int]:
    """Return line, instruction and frame of the file, and whether it is innermost."""
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    depth = 0
    while frame is not None and frame.f_code.co_filename != STATE.file:
        frame, depth = frame.f_back, depth + 1
    if frame is None:
        return 0, 0, depth
    return frame.f_lineno, frame.f_lasti, depth


def _described(place: tuple[int, int, int]) -> dict[str, Any]:
    """Return line, its text, and the call in which the file waits (or an empty one)."""
    line, _, depth = place
    text = linecache.getline(STATE.file, line).strip() if line else ""
    name, peers = "", {}
    if (call := STATE.call) is not None:
        name, args, kwargs = call
        peers = _peers(name, args, kwargs)
    elif depth == 0 and WAIT.search(text):
        name = "wait"
    return {"line": line, "text": text, "call": name, "peers": peers}


# Position of the argument with a rank among those of a method.
PEERS = {
    "to": ("dest", 1, r"(?i)[bsr]?send|i?[bsr]?send|sendrecv(_replace)?"),
    "from": ("source", 1, r"(?i)recv"),
}


def _peers(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return the ranks that a call sends to and receives from, where it is known."""
    peers = {}
    for way, (argument, position, pattern) in PEERS.items():
        value = kwargs.get(argument)
        if value is None and re.fullmatch(pattern, name) and len(args) > position:
            value = args[position]
        if isinstance(value, int) and value >= 0:
            peers[way] = value
        elif value == MPI.ANY_SOURCE and way == "from":
            peers[way] = -1
    return peers


def write(path: Path, content: object) -> None:
    """Write JSON under its name at once, so that no reader sees half of it. Local."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content))
    part.replace(path)


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it; see `mpiapps.learn.exercise.Run`. Local."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in list(value.items())[:MOST]}
    if hasattr(value, "tolist"):  # NumPy's arrays and numbers, array.array
        value = value[:MOST].tolist() if getattr(value, "ndim", 1) else value.item()
        return plain(value)
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value[:MOST]]
    return f"<{type(value).__name__}>"


def execute(job: Mapping[str, Any]) -> dict[str, Any]:
    """Run a file as ``python FILE ARGUMENTS`` does; return how it ended. Local."""
    file = job["file"]
    module = types.ModuleType("__main__")
    module.__file__ = file
    sys.modules["__main__"] = module
    sys.argv = [file, *job["arguments"]]
    sys.path[0] = str(Path(file).parent)
    ended: dict[str, Any] = {"status": "finished", "error": "", "line": 0}
    try:
        code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
        exec(code, vars(module))
    except SystemExit as error:
        if error.code not in (None, 0):
            ended |= {"status": "exit", "error": f"sys.exit({error.code!r})"}
    except SyntaxError as error:
        text = f"SyntaxError: {error.msg}"
        ended |= {"status": "error", "error": text, "line": error.lineno or 0}
    except BaseException as error:  # any error of the learner's file
        lines = [
            each.lineno
            for each in traceback.extract_tb(error.__traceback__)
            if each.filename == file
        ]
        text = traceback.format_exception_only(error)[-1].strip()
        line = lines[-1] if lines else 0
        ended |= {"status": "error", "error": text, "line": line}
    variables = vars(module) | {f"${key}": text for key, text in os.environ.items()}
    ended["text"] = linecache.getline(file, ended["line"]).strip()
    ended["values"] = {
        name: plain(variables[name]) for name in job["keep"] if name in variables
    }
    return ended


def run(directory: Path, index: int, job: Mapping[str, Any], comm: MPI.Comm) -> None:
    """Run job number `index` on this rank. Collective over `comm`."""
    variables = dict(os.environ)
    stem = directory / f"{index}-{comm.rank}"
    STATE.file = job["file"]
    STATE.synchronous = job["synchronous"]
    STATE.job = index
    # The file's own Finalize would end the next runs as well.
    vars(MPI).update(COMM_WORLD=comm, Finalize=lambda: None)
    with (
        stem.with_suffix(".out").open("w", buffering=1) as out,
        redirect_stdout(out),
        redirect_stderr(out),
    ):
        ended = execute(job)
    os.environ.clear()
    os.environ.update(variables)
    write(stem.with_suffix(".json"), ended)


def main() -> None:
    """Run all jobs. Collective over all ranks."""
    directory, world = Path(sys.argv[1]), MPI.COMM_WORLD
    jobs = json.loads((directory / "jobs.json").read_text())
    threading.Thread(target=watch, args=(directory, world.rank), daemon=True).start()
    for index, job in enumerate(jobs):
        mine = world.rank < job["ranks"]
        comm = world.Split(0 if mine else MPI.UNDEFINED)
        if mine:
            run(directory, index, job, watched(comm))
        # Ranks without a part in a run leave the cores to the others.
        barrier = world.Ibarrier()
        while not barrier.Test():
            time.sleep(0.005)


if __name__ == "__main__":
    main()
