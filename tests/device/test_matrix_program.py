"""The matrix program with --device cuda, on a stand-in for CuPy."""

import numpy as np
import pytest

from mpiapps import matrix
from mpiapps.app.context import RunContext
from mpiapps.base.errors import Checkpointed, InputError, LaunchError
from mpiapps.device import arrays
from mpiapps.device.choice import Device
from mpiapps.linalg import devices, factor_checkpoint
from mpiapps.linalg.solve import factorise
from tests.linalg.cases import spread, whole
from tests.linalg.test_factors import positive

pytestmark = pytest.mark.mpi


@pytest.fixture
def device(cupy, monkeypatch):
    """One device, which all ranks share."""
    device = Device(0, 1, "stand-in", "uuid", ranks=2)
    monkeypatch.setattr(devices, "choose_rank_device", lambda *_, **__: device)
    return cupy


@pytest.mark.parametrize(
    ("words", "options", "gemm"),
    [
        (("multiply", (30, 20, 40)), {}, "gemm"),
        (("gram", (40, 7)), {"dtype": "f4"}, "syrk"),
        (("cholesky", (20,)), {"dtype": "c16"}, "potrf"),
        (("solve", (20, 3)), {}, "getrf"),
        (("solve", (20, 3)), {"kind": "positive"}, "potrf"),
    ],
)
def test_operations_agree_with_the_host(device, world, words, options, gemm):
    found = {}
    for where in ("cpu", "cuda"):
        given = matrix.Options(
            words[0], random=words[1], device=where, check=True, **options
        )
        matrix.check(given)
        found[where] = matrix.run(RunContext.make(world), given)
    values = found["cuda"].values
    assert values["check"] < 10
    assert set(values) - set(found["cpu"].values) == {"messages"}
    assert values["messages"] == "host"
    for row in found["cuda"].ranks:
        assert row["device"] == "0: stand-in"
    assert "2 ranks share a device" in found["cuda"].notes[0]
    assert world.comm.allreduce(device.counts[gemm]) > 0
    for name in ("upload", words[0], "download"):
        assert world.timers.seconds[name] >= 0


def test_the_result_is_written(device, world, tmp_path_factory):
    path = world.comm.bcast(tmp_path_factory.mktemp("out") / "c.npy")
    options = {"random": (5, 4, 3), "output": str(path)}
    for where in ("cpu", "cuda"):
        given = matrix.Options("multiply", device=where, **options)
        matrix.run(RunContext.make(world), given)
        world.comm.Barrier()
        found = np.load(path)
        world.comm.Barrier()
    assert found.shape == (5, 4)
    assert world.comm.allreduce(device.counts["gemm"])


@pytest.mark.usefixtures("device")
def test_the_error_is_that_of_the_host(world, tmp_path_factory):
    path = world.comm.bcast(tmp_path_factory.mktemp("in") / "a.npy")
    if world.rank == 0:
        np.save(path, np.diag([1.0, -1, 1]))
    world.comm.Barrier()
    for where in ("cpu", "cuda"):
        given = matrix.Options("cholesky", (str(path),), device=where)
        with pytest.raises(InputError, match="leading minor of order 2"):
            matrix.run(RunContext.make(world), given)


def test_without_cupy_all_ranks_raise_before_they_read(world):
    arrays.cuda_module.cache_clear()
    given = matrix.Options("gram", ("missing.npy",), device="cuda")
    with pytest.raises(LaunchError, match=r"mpiapps\[cuda\].*--device cpu") as caught:
        matrix.run(RunContext.make(world), given)
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("words", [("svd",), ("norm",), ("inverse",)])
def test_other_operations_name_those_with_a_device(words):
    given = matrix.Options(*words, random=(3,), device="cuda")
    with pytest.raises(ValueError, match="only to multiply, gram, cholesky, solve,"):
        matrix.check(given)


def test_a_plan_does_not_model_devices():
    given = matrix.Options("gram", random=(3,), plan=True, device="cuda")
    with pytest.raises(ValueError, match="--device applies only to results"):
        matrix.check(given)


@pytest.mark.usefixtures("cupy")
@pytest.mark.parametrize("kind", ["positive", "general"])
def test_a_factorisation_resumes_on_devices(comm, tmp_path_factory, kind):
    path = comm.bcast(tmp_path_factory.mktemp("saved") / "data")
    x = positive(70) if kind == "positive" else whole((70, 70))
    a = spread(comm, x).to_device()

    def on_panel(found):
        raise Checkpointed(factor_checkpoint.save(found, path))

    with pytest.raises(Checkpointed) as caught:
        factorise(a, kind, on_panel=on_panel)
    since = factor_checkpoint.load(comm, path, caught.value.args[0])
    again, straight = factorise(a, kind, partial=since), factorise(a, kind)
    if kind == "general":
        again, straight = again.factors, straight.factors
    np.testing.assert_allclose(again.to_all(), straight.to_all(), atol=1e-12)
