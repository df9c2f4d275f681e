"""Kernels of devices in numba's simulator: run by test_simulator.py."""

import gzip
import json
import runpy
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpi4py import MPI
from numba.cuda.simulator import kernelapi

from mpiapps.app.context import RunContext
from mpiapps.base.deadline import Deadline
from mpiapps.base.errors import Checkpointed, LaunchError
from mpiapps.comm.world import World
from mpiapps.device import darts, text
from mpiapps.fileops import count as cpu_count
from mpiapps.fileops import device_count
from mpiapps.fileops.segments import Segment
from mpiapps.kernels import jit, pi
from mpiapps.kernels.text import count_text
from mpiapps.kernels.utf8 import automaton
from mpiapps.pi import Options, run
from tests.commands import ROOT
from tests.fileops.runs import run_files
from tests.kernels.test_text import PIECES

ENCODINGS = ("utf-8", "bytes")
CHUNK_BYTES = 37
# The simulator polls its threads, which cannot run until it gives up the interpreter.
sys.setswitchinterval(1e-5)


@pytest.fixture(scope="module")
def world():
    with World(MPI.COMM_SELF) as alone:
        yield alone


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("index", [0, 2**32 - 20, 2**61 - 1000])
def test_darts_are_those_of_the_cpu(index, wide):
    first = index * (2 if wide else 4) + 1
    for last in (first, first + 1, first + 2, first + 203):
        hits = pi.count_darts(7, 3, first, last, wide)
        assert darts.count_darts(7, 3, first, last, wide) == hits


def test_all_threads_of_a_block_get_the_same_shared_memory(monkeypatch):
    class SlowDict(dict):
        """What the simulator looks up before it makes an array of a fixed size."""

        def get(self, key):
            found = super().get(key)
            time.sleep(0.001)
            return found

    def start(self, *args, init=kernelapi.FakeCUDAShared.__init__):
        init(self, *args)
        self._allocations = SlowDict()

    monkeypatch.setattr(kernelapi.FakeCUDAShared, "__init__", start)
    for wide in False, True:
        assert darts.count_darts(7, 3, 0, 99, wide) == pi.count_darts(7, 3, 0, 99, wide)
    counter = COUNTERS["bytes", 3]
    counter.buffer[:8] = list(b"a b\nc d\n")
    counter.submit(8)
    assert device_count.segment_row(counter.finish(), 8, 0)[:3] == [2, 4, 8]


def test_the_largest_seed_and_stream():
    key = 2**32 - 1, 2**32 - 5
    assert darts.count_darts(*key, 0, 99, True) == pi.count_darts(*key, 0, 99, True)


@pytest.mark.parametrize("order", [("cpu", "cuda"), ("cuda", "cpu")])
def test_a_run_of_pi_resumes_on_the_other_device(world, tmp_path, monkeypatch, order):
    path, contexts, calls = str(tmp_path / "checkpoint"), [], []
    for module in pi, darts:

        def stop_in_the_tenth_task(*argv, count=module.count_darts):
            calls.append(argv)
            contexts[-1].deadline.stop_requested |= len(calls) == 10
            return count(*argv)

        monkeypatch.setattr(module, "count_darts", stop_in_the_tenth_task)
        monkeypatch.setattr(jit, "is_cached", lambda _: True)

    def run_on(device):
        options = Options(2000, seed=3, device=device)
        deadline = Deadline(environ={})
        contexts.append(
            RunContext.make(world, "pi", options, checkpoint=path, deadline=deadline)
        )
        return run(contexts[-1], options)

    with pytest.raises(Checkpointed):
        run_on(order[0])
    saved = json.loads(Path(path).read_text())
    assert 0 < saved["progress"] < 1
    hits = pi.count_darts(3, 0, 0, 2000, False)
    assert run_on(order[1]).values["hits"] == hits


COUNTERS = {
    (encoding, part): text.TextCounter(encoding, CHUNK_BYTES, part)
    for encoding in ENCODINGS
    for part in (1, 3, 6)
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(max_examples=60, deadline=None)
@given(
    pieces=st.lists(PIECES, max_size=20),
    part=st.sampled_from([1, 3, 6]),
    sizes=st.lists(st.integers(0, CHUNK_BYTES), min_size=1, max_size=5),
    known=st.booleans(),
)
def test_text_is_counted_as_on_the_cpu(encoding, pieces, part, sizes, known):
    """Chunks of any sizes, parts of any sizes, incomplete characters at the end."""
    data = np.frombuffer(b"".join(pieces), np.uint8)
    counter, done, n = COUNTERS[encoding, part], 0, 0
    while done < len(data):
        size = min(max(1, sizes[n % len(sizes)]), len(data) - done)
        counter.buffer[:size] = data[done : done + size]
        counter.submit(size)
        done, n = done + size, n + 1
    state = cpu_count.OUTSIDE if known else cpu_count.UNKNOWN
    counts = count_text(data, encoding, state)
    row = device_count.segment_row(counter.finish(), len(data), state)
    expected = [counts.lines, counts.words, counts.characters, len(data)]
    expected += [counts.invalid + len(data) - counts.used, counts.joins, counts.state]
    assert row == expected


def test_the_automaton_is_copied_to_the_device_once(monkeypatch):
    copied, to_device = [], text.cuda.to_device
    monkeypatch.setattr(
        text.cuda, "to_device", lambda table: (copied.append(1), to_device(table))[1]
    )
    text.TextCounter("utf-8", CHUNK_BYTES, 6)
    assert len(copied) == len(automaton("utf-8"))


def test_a_text_that_was_not_finished_leaves_nothing():
    counter = COUNTERS["utf-8", 6]
    counter.buffer[:3] = [0xE4, 0xB8, 10]
    counter.submit(2)
    counter.begin()
    counter.buffer[:1] = 0xAD
    counter.submit(1)
    assert device_count.segment_row(counter.finish(), 1, 0)[:5] == [0, 0, 0, 1, 1]


def test_the_kernel_of_the_page_divides(monkeypatch, capsys):
    script = ROOT / "docs" / "teaching" / "gpu" / "divide_2_kernel.py"
    monkeypatch.setattr(sys, "argv", [str(script), "30"])
    runpy.run_path(str(script))
    assert capsys.readouterr().out.splitlines()[-1] == "equal"


def test_the_benchmark_runs(monkeypatch, tmp_path):
    path = tmp_path / "gpu.json"
    argv = ["bench_gpu.py", "--quick", "--json", str(path)]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.syspath_prepend(ROOT / "scripts")  # as Python does for a script
    assert runpy.run_path(str(ROOT / "scripts" / "bench_gpu.py"))["main"]() == 0
    record = json.loads(path.read_text())
    assert "simulator, not a GPU" in record["title"]
    assert {row["name"] for row in record["rows"]} == record["crossovers"].keys()


TEXT = ("Grüße, 世界 \u3000 x\n" * 10).encode() + b"\xff\xe2\x82"


@pytest.mark.parametrize(
    "options", [{}, {"encoding": "bytes"}, {"only": ("lines",)}], ids=str
)
def test_files_are_counted_as_on_the_cpu(world, tmp_path, monkeypatch, options):
    monkeypatch.setattr(cpu_count, "SMALL_FILE_BYTES", -1)
    monkeypatch.setattr(text, "CHUNK_BYTES", 100)
    (tmp_path / "a.txt").write_bytes(TEXT)
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(TEXT))
    (tmp_path / "empty").touch()
    submitted = []
    monkeypatch.setattr(
        *(text.TextCounter, "submit"),
        lambda self, n, submit=text.TextCounter.submit: (
            submitted.append(n),
            submit(self, n),
        ),
    )
    results = [
        run_files(world, "count", tmp_path, device=device, **options).values
        for device in ("cpu", "cuda")
    ]
    assert results[0] == results[1]
    assert sum(submitted) == 2 * len(TEXT) + 1  # and one byte to compile


def test_an_error_of_the_device_ends_the_run(world, tmp_path, monkeypatch):
    """It is no failure of a file: all later calls of the device fail as well."""

    def fail(_, size):
        if size > 1:  # one byte: to compile
            raise RuntimeError("[700] CUDA_ERROR_ILLEGAL_ADDRESS")

    monkeypatch.setattr(cpu_count, "SMALL_FILE_BYTES", -1)
    monkeypatch.setattr(text.TextCounter, "submit", fail)
    for name in "ab":
        (tmp_path / name).write_bytes(TEXT)
    with pytest.raises(LaunchError, match="ILLEGAL_ADDRESS"):
        run_files(world, "count", tmp_path, device="cuda")


def test_segments_of_a_file_add_up(tmp_path):
    """Results of both devices are mixed, as in a run that resumed on the other one."""
    path = tmp_path / "text"
    path.write_bytes(TEXT)
    operations = [cpu_count.TextCount(), device_count.DeviceTextCount()]
    for operation in operations:
        operation.warm_up()
    size = len(TEXT)
    for split in (41, 57, size - 1):
        parts = (0, split), (split, size)
        parts = [Segment(0, str(path), *bounds, size) for bounds in parts]
        rows = [[one.execute(part) for part in parts] for one in operations]
        assert rows[0] == rows[1]


def test_a_recorded_count_is_not_repeated_on_the_other_device(world, tmp_path):
    (tmp_path / "a").write_bytes(TEXT)
    directory = str(tmp_path / "run")
    values = [
        run_files(
            world, "count", tmp_path / "a", device=device, directory=directory
        ).values
        for device in ("cpu", "cuda")
    ]
    assert values[0] == values[1]
