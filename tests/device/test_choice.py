"""The device of a rank, and what ranks without one report."""

import sys
from types import SimpleNamespace

import numba
import pytest

from mpiapps.base.errors import LaunchError
from mpiapps.comm import rank_device
from mpiapps.device import choice, cuda
from mpiapps.device.choice import Device, choose_device
from mpiapps.fileops.options import Options as FilesOptions
from mpiapps.fileops.options import check as check_files
from mpiapps.pi import Options as PiOptions
from mpiapps.pi import check as check_pi

DEVICE = Device(0, 1, "H100", "GPU-0")


def devices(n):
    """Return `n` devices; their names are bytes, as in older versions of numba."""
    return [SimpleNamespace(name=b"H100", uuid=f"GPU-{k}") for k in range(n)]


@pytest.mark.parametrize(("ranks", "visible"), [(4, 4), (8, 3), (2, 4), (1, 1)])
def test_ranks_take_devices_in_turn(monkeypatch, ranks, visible):
    monkeypatch.setattr(cuda, "visible_devices", lambda: devices(visible))
    chosen = [choose_device(rank, ranks) for rank in range(ranks)]
    assert [device.index for device in chosen] == [n % visible for n in range(ranks)]
    assert {(device.name, device.visible) for device in chosen} == {("H100", visible)}
    for device in chosen:
        same = sum(other.index == device.index for other in chosen)
        assert device.ranks == same
        assert bool(device.notes) == (same > 1)


@pytest.mark.parametrize(
    ("error", "reason"),
    [("\nCUDA driver library cannot be found.\nIf you", "library cannot be found"),
     (None, "CUDA_VISIBLE_DEVICES excludes all")],
)  # fmt: skip
def test_without_a_device_the_error_has_reason_and_remedy(monkeypatch, error, reason):
    fake = SimpleNamespace(cuda_error=lambda: error, gpus=[])
    monkeypatch.setattr(cuda, "cuda", fake)
    with pytest.raises(LaunchError, match=reason) as raised:
        choose_device(0, 1)
    assert raised.value.exit_code == 78
    assert "--device cpu" in str(raised.value)
    assert "mpiapps[cuda]" in str(raised.value)


def test_without_the_compiler_of_kernels_the_error_names_it(monkeypatch):
    monkeypatch.setattr(cuda, "cuda", SimpleNamespace(is_available=lambda: False))
    with pytest.raises(LaunchError, match="NVVM"):
        Device(0, 1, "H100", "GPU-0").select()


def test_a_kernel_that_does_not_start_is_an_error_with_the_reason(monkeypatch):
    def select_device(_):
        raise RuntimeError("[222] CUDA_ERROR_UNSUPPORTED_PTX_VERSION")

    fake = SimpleNamespace(is_available=lambda: True, select_device=select_device)
    monkeypatch.setattr(cuda, "cuda", fake)
    with pytest.raises(LaunchError, match=r"UNSUPPORTED_PTX.*driver as new as"):
        Device(0, 1, "H100", "GPU-0").select()


def test_without_the_cuda_target_of_numba_the_error_names_the_extra(monkeypatch):
    monkeypatch.delattr(numba, "cuda")
    monkeypatch.setitem(sys.modules, "numba.cuda", None)
    monkeypatch.delitem(sys.modules, "mpiapps.device.cuda")
    with pytest.raises(LaunchError, match=r"no CUDA target.*mpiapps\[cuda\]"):
        choose_device(0, 1)


@pytest.mark.mpi
def test_one_rank_without_a_device_is_an_error_on_all(world, monkeypatch):
    def fail_on_the_last(local_rank, local_size):
        if world.rank == world.size - 1:
            raise LaunchError("no CUDA device is visible")
        return Device(local_rank, local_size, "H100", f"GPU-{local_rank}")

    monkeypatch.setattr(Device, "select", lambda _: None)
    monkeypatch.setattr(rank_device, "choose_device", fail_on_the_last)
    with pytest.raises(LaunchError, match="no CUDA device is visible"):
        rank_device.choose_rank_device(world)


@pytest.mark.mpi
@pytest.mark.parametrize("isolated", [False, True])
def test_ranks_with_the_same_device_share_it(world, monkeypatch, isolated):
    """A job that isolates devices shows each rank one device, another one."""

    def visible():
        uuid = f"GPU-{world.local_rank if isolated else 0}"
        return [SimpleNamespace(name="H100", uuid=uuid)]

    monkeypatch.setattr(cuda, "visible_devices", visible)
    device = rank_device.choose_rank_device(world, kernels=False)
    assert device.index == 0
    assert device.ranks == (1 if isolated else world.local_size)


@pytest.mark.mpi(min_size=2)
def test_all_ranks_know_that_ranks_of_another_host_share_a_device(world, monkeypatch):
    """Rank 0 is a host of its own here: it shares nothing, and writes the report."""
    color = min(world.rank, 1)
    node = world.comm.Split(color)
    monkeypatch.setattr(rank_device, "choose_device", lambda *_: DEVICE)
    monkeypatch.setattr(world, "node", node)
    device = rank_device.choose_rank_device(world, kernels=False)
    node.Free()
    others = world.size - 1
    assert device.ranks == (others if color else 1)
    assert device.most_ranks == others
    shared = [f"{others} ranks share a device; start one rank per device, or MPS"]
    assert device.notes == (shared if others > 1 else [])


def test_options_without_a_kernel_are_refused_with_the_reason():
    with pytest.raises(ValueError, match="floating point"):
        check_pi(PiOptions(10**6, method="strata", device="cuda"))
    refused = {"top": 3, "only": ("bytes",)}
    for name, value in refused.items():
        options = FilesOptions("count", ("x",), device="cuda", **{name: value})
        with pytest.raises(ValueError, match="use --device cpu"):
            check_files(options)
    with pytest.raises(ValueError, match="--device applies only to count, not hash"):
        check_files(FilesOptions("hash", ("x",), output="o", device="cuda"))
    check_files(FilesOptions("count", ("x",), device="cuda", only=("lines",)))
    assert choice.DEVICES[0] == FilesOptions().device == PiOptions().device
