"""Failures of a user's function are confined to its file."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from mpiapps import files
from mpiapps.app.context import RunContext
from mpiapps.base.errors import InputError, UsageError
from mpiapps.fileops.map_function import MapFunction, as_json
from mpiapps.fileops.segments import Segment
from mpiapps.files import Options
from mpiapps.launch.signals import SignalWatch

pytestmark = pytest.mark.mpi


class Mute(Exception):
    def __str__(self):
        return raises(SystemExit(3))


class Unsendable(Exception):
    def __init__(self, one, two):
        super().__init__(one + two)
        self.lock = threading.Lock()


def endless():
    return endless()


def ring():
    items = []
    items.append(items)
    return items


def raises(error):
    raise error


def code_of_child():
    """Fork; return the status of the child, and 0 in it."""
    child = os.fork()
    return child and os.waitpid(child, 0)[1]


def in_a_thread(function):
    threading.Thread(target=function).start()
    return threading.Lock()


# What the function does, and the reason in the report.
HOSTILE = {
    "exit": (lambda: sys.exit(0), "SystemExit: 0"),
    "quit": (lambda: raises(SystemExit), "SystemExit"),
    "interrupt": (lambda: raises(KeyboardInterrupt()), "KeyboardInterrupt"),
    "generator": (lambda: raises(GeneratorExit()), "GeneratorExit"),
    "stop": (lambda: raises(StopIteration(1)), "StopIteration: 1"),
    "input": (lambda: raises(InputError("text")), "InputError: text"),
    "base": (lambda: raises(BaseException("new\nline")), "BaseException: new"),
    "mute": (lambda: raises(Mute()), "Mute: <its text is not available>"),
    "lock": (lambda: raises(Unsendable(1, 2)), "Unsendable: 3"),
    "missing": (lambda: __import__("no_such"), "ModuleNotFoundError: No module"),
    "deep": (endless, "RecursionError: maximum recursion depth"),
    "memory": (lambda: raises(MemoryError()), "MemoryError"),
    "result": (threading.Lock, "TypeError: Object of type lock is not JSON"),
    "thread": (lambda: in_a_thread(int), "TypeError: Object of type lock"),
    "ring": (ring, "RecursionError"),
    "nan": (lambda: float("nan"), "ValueError: Out of range float values"),
    "keys": (lambda: {(1, 2): 3}, "TypeError: keys must be str"),
    "same": (lambda: {1: 2, "1": 3}, "ValueError: keys that are equal in JSON"),
    "yields": (lambda: (n for n in "ab"), "TypeError: Object of type generator"),
}
HARMLESS = {
    "move": lambda: os.chdir("/"),
    "fork": code_of_child,
    "forked-raises": lambda: code_of_child() or raises(ValueError()),
    "numbers": lambda: {np.int64(1): [np.float32(0.5), np.arange(3), np.bool_(True)]},
}


def hostile(argument):
    if not isinstance(argument, str):
        (argument,) = {line.decode() for line in argument}
    name = Path(argument).name
    if name in HOSTILE:
        return HOSTILE[name][0]()
    return HARMLESS[name]() if name in HARMLESS else name


@pytest.fixture
def place(world, tmp_path, monkeypatch):
    """Return a directory common to all ranks, in their working directory."""
    path = Path(world.comm.bcast(str(tmp_path / "in")))
    path.mkdir(exist_ok=True)
    world.comm.Barrier()
    monkeypatch.chdir(path.parent)
    return path


@pytest.mark.parametrize("records", [False, True])
def test_any_failure_is_confined_to_its_file(world, place, records):
    good = [f"good-{n}" for n in range(9)]
    if world.is_root:
        for name in (*HOSTILE, *HARMLESS, *good):
            (place / name).write_text(name)
    world.comm.Barrier()
    paths = (f"{__name__}:hostile", "in")
    result = files.run(
        RunContext.make(world),
        Options("map", paths, output="out", records=records, directory="kept"),
    )
    world.comm.Barrier()
    assert (result.exit_code, result.values["failed"]) == (3, len(HOSTILE))
    if not world.is_root:
        return
    rows = [json.loads(line) for line in Path("out").read_text().splitlines()]
    values = {Path(row["path"]).name: row["value"] for row in rows}
    assert sorted(values) == sorted([*good, *HARMLESS])
    assert [values[name] for name in good] == good
    assert values["fork"] == values["forked-raises"] == 256  # exit code 1 of the child
    assert values["numbers"] == {"1": [0.5, [0, 1, 2], True]}
    failed = Path("kept/failed.txt").read_text().split("\0")
    assert failed == [*sorted(f"in/{name}" for name in HOSTILE), ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_the_report_has_the_reason_and_one_traceback(world, place, name):
    if world.is_root:
        for directory in ("a", "b"):
            (place / directory).mkdir()
            (place / directory / name).write_text(name)
    world.comm.Barrier()
    paths = (f"{__name__}:hostile", "in")
    notes = files.run(RunContext.make(world), Options("map", paths, output="out")).notes
    world.comm.Barrier()
    assert [HOSTILE[name][1] in note.split("\n")[0] for note in notes] == [True, True]
    raised = not HOSTILE[name][1].startswith(("TypeError", "ValueError"))
    assert ("in hostile" in notes[0]) == (raised and name != "ring")
    assert "Traceback" not in notes[1]  # equal stacks are reported once


def test_modules_that_cannot_be_imported(world, place, monkeypatch):
    monkeypatch.syspath_prepend(str(place))
    for name, text, reason in (
        ("broken", "def f(:\n", "SyntaxError: invalid syntax"),
        ("ends", "import sys\nsys.exit(0)", "SystemExit: 0"),
        ("fails", "\n\n1 / 0", "ZeroDivisionError: division by zero"),
    ):
        if world.is_root:
            (place / f"{name}_module.py").write_text(text)
        world.comm.Barrier()
        paths = (f"{name}_module:f", "in")
        with pytest.raises(UsageError, match=f"{reason}.*{name}_module.py, line"):
            files.run(RunContext.make(world), Options("map", paths, output="out"))
        world.comm.Barrier()


def test_numpy_values_are_converted_for_json():
    for kind in np.sctypeDict.values():
        if np.dtype(kind).kind in "biuf":
            value = as_json({"x": kind(1), "y": np.ones((2, 2), kind), kind(0): None})
            one = 1.0 if issubclass(kind, np.floating) else kind(1).item()
            assert [*value.values()] == [one, [[one, one]] * 2, None]
            assert json.loads(json.dumps(value))["x"] is not None


def test_a_signal_is_not_a_files_failure(monkeypatch):
    def interrupted(_name):
        signal.raise_signal(signal.SIGINT)

    operation = MapFunction(f"{__name__}:hostile", records=False)
    monkeypatch.setattr(operation, "_function", interrupted)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt), SignalWatch(lambda *_: None):
            operation.execute(Segment(0, "x", 0, 1, 1))
    finally:
        signal.signal(signal.SIGINT, before)
