"""The benchmark of matrices on GPUs runs, and computes fractions, on a stand-in."""

import json

import pytest

from mpiapps.device.choice import Device
from mpiapps.linalg import devices
from scripts import bench_gpu_matrix as bench


@pytest.mark.usefixtures("cupy")
def test_the_table_and_the_record(monkeypatch, capsys, tmp_path):
    device = Device(0, 1, "NVIDIA H200", "uuid")
    monkeypatch.setattr(devices, "choose_rank_device", lambda *_, **__: device)
    path = tmp_path / "gpu.json"
    words = ["bench", "--sizes", "8", "16", "--no-tf32", "--json", str(path)]
    monkeypatch.setattr("sys.argv", [*words, "--rounds", "1"])
    assert bench.main() == 0
    record = json.loads(path.read_text())
    cases = {(row["operation"], row["dtype"], row["n"]) for row in record["rows"]}
    assert len(cases) == len(record["rows"]) == 4 * 2 * 2
    for row in record["rows"]:
        assert row["of peak"] == pytest.approx(row["flop/s"] / 67e12)
        assert row["of CuPy"] == pytest.approx(row["CuPy"] / row["device"])
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(cases) + 2


def test_the_crossover_is_the_size_from_which_on_the_device_is_faster():
    times = [(8, 9.0, 1.0), (16, 1.0, 3.0), (32, 5.0, 4.0), (64, 2.0, 9.0), (128, 3, 9)]
    rows = [
        {"operation": "gram", "dtype": "f4", "n": n, "transfer": 1.0}
        | {"device": device, "NumPy": numpy}
        for n, device, numpy in times
    ]
    assert bench.crossovers(rows) == {"gram f4": 64}
    assert bench.crossovers(rows[:3]) == {"gram f4": None}


def test_an_unknown_device_has_no_peak():
    assert bench.peak_of("NVIDIA A100-SXM4-80GB", "tf32") == 156e12
    assert bench.peak_of("another", "f8") is None
