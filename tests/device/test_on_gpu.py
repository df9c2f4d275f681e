"""Kernels and programs on a GPU against the CPU, bit for bit: `make test-gpu`.

These tests run where there is a device, and are left out everywhere else.
"""

import json
import sys

import numpy as np
import pytest

from tests.commands import ROOT, run

pytestmark = pytest.mark.gpu

SCRIPTS = {
    "ascii": "some plain words of a text,\n\tand a line.\r\n",
    "mixed": "Grüße, 世界 \u3000 x\u200b\u0301 naïve 😀\n",
}
LARGE_BYTES = 2**26


@pytest.fixture(scope="module", autouse=True)
def device():
    from mpiapps.device.choice import choose_device
    from mpiapps.device.cuda import is_simulated

    assert not is_simulated(), "unset NUMBA_ENABLE_CUDASIM"
    device = choose_device(0, 1)
    device.select()
    print(f"on {device.name}")
    return device


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("first", "count"),
    [(0, 1), (3, 5), (1, 10**6 + 7), (4 * 2**32 - 10**7, 2 * 10**7), (0, 3 * 10**9)],
)
def test_darts_are_those_of_the_cpu(first, count, wide):
    from mpiapps.device import darts
    from mpiapps.kernels import pi

    argv = 7, 3, first, first + count, wide
    assert darts.count_darts(*argv) == pi.count_darts(*argv)


@pytest.mark.parametrize("wide", [False, True])
def test_the_last_darts_of_the_stream(wide):
    from mpiapps.device import darts
    from mpiapps.kernels import pi

    argv = 2**32 - 1, 2**32 - 1, 2**63 - 10**6, 2**63 - 1, wide
    assert darts.count_darts(*argv) == pi.count_darts(*argv)


def counted(data, encoding, sizes):
    """Return the rows of a text on the device, by chunks of these sizes in turn."""
    from mpiapps.device.text import TextCounter

    counter, begin, n = TextCounter(encoding), 0, 0
    while begin < len(data):
        chunk = data[begin : begin + sizes[n % len(sizes)]]
        counter.buffer[: len(chunk)] = chunk
        counter.submit(len(chunk))
        begin, n = begin + len(chunk), n + 1
    return counter.finish()


@pytest.mark.parametrize("encoding", ["utf-8", "bytes"])
@pytest.mark.parametrize("kind", [*SCRIPTS, "random", "continuations"])
def test_text_is_counted_as_on_the_cpu(kind, encoding):
    from mpiapps.fileops.device_count import segment_row
    from mpiapps.kernels.text import count_text
    from mpiapps.kernels.utf8 import UNKNOWN

    if kind in SCRIPTS:
        data = np.frombuffer(bytearray(SCRIPTS[kind].encode() * 400_000), np.uint8)
        data = data[:LARGE_BYTES].copy()
        data[:: 10**6 + 3] = 0xFF
    else:
        rng = np.random.default_rng(5)
        least = 0 if kind == "random" else 0x80
        data = rng.integers(least, 256, LARGE_BYTES, np.uint8)
    counts = count_text(data, encoding, UNKNOWN)
    expected = [counts.lines, counts.words, counts.characters, len(data)]
    expected += [counts.invalid + len(data) - counts.used, counts.joins, counts.state]
    for sizes in [[2**21], [1, 2**20 + 1, 63, 2**21 - 5]]:
        rows = counted(data, encoding, sizes)
        assert segment_row(rows, len(data), UNKNOWN) == expected


def on_ranks(ranks, *words, **variables):
    """Run Python on ranks of this environment, which may be that of GPU_PYTHON."""
    script = str(ROOT / "scripts" / "on_ranks.py")
    return run([sys.executable, script, str(ranks), *words], **variables)


def record_of(ranks, *argv):
    done = on_ranks(ranks, "-m", *argv, "--json", "-")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_ranks_that_share_devices_count_the_same_darts():
    argv = ["mpiapps.pi", "--samples", "1e10", "--seed", "5", "--device"]
    hits = {
        (ranks, device): record_of(ranks, *argv, device)["values"]["hits"]
        for ranks, device in [(2, "cpu"), (1, "cuda"), (3, "cuda")]
    }
    assert len(set(hits.values())) == 1, hits


def test_files_are_counted_as_on_the_cpu(tmp_path):
    rng = np.random.default_rng(3)
    (tmp_path / "text").write_text(SCRIPTS["mixed"] * 10**6)
    (tmp_path / "bytes").write_bytes(rng.bytes(10**7))
    (tmp_path / "small").write_text("a b\n")
    argv = ["mpiapps.files", "count", str(tmp_path), "--device"]
    values = [record_of(3, *argv, device)["values"] for device in ("cpu", "cuda")]
    assert values[0] == values[1]


def test_a_run_saved_on_the_cpu_goes_on_on_the_device(tmp_path):
    """The limit stops the first run; the second one is long over before its own."""
    argv = ["-m", "mpiapps.pi", "--samples", "1e11", "--checkpoint"]
    argv = [*argv, str(tmp_path / "saved"), "--json", "-", "--device"]
    stopped = on_ranks(2, *argv, "cpu", "--seconds", "3")
    assert stopped.code == 75, stopped.err
    done = on_ranks(2, *argv, "cuda")
    assert done.code == 0, done.err
    whole = record_of(1, "mpiapps.pi", "--samples", "1e11", "--device", "cuda")
    assert json.loads(done.out)["values"] == whole["values"]


def test_a_hidden_device_is_not_visible():
    argv = ["-m", "mpiapps.pi", "--samples", "1e6", "--device", "cuda"]
    done = on_ranks(2, *argv, CUDA_VISIBLE_DEVICES="")
    assert done.code == 78
    assert done.err.count("no CUDA device is visible") == 1


def test_the_benchmark_runs(tmp_path):
    script = str(ROOT / "scripts" / "bench_gpu.py")
    done = run([sys.executable, script, "--quick", "--json", str(tmp_path / "json")])
    assert done.code == 0, done.err
