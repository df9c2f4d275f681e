"""Times of calls on the networks of platforms."""

import pytest

from mpiapps.base.platforms import PLATFORMS
from mpiapps.linalg.call_cost import Call, Network
from mpiapps.linalg.cost_model import Machine, plan
from mpiapps.linalg.operation_plan import plan_operation
from mpiapps.linalg.operations import find_operation
from mpiapps.matrix import Options, check

NETWORK = Network(bandwidth=1e9, latency=4e-6, near_latency=1e-6, near_ranks=8)


@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        (Call("bcast", 1, 10**6), 0),
        (Call("bcast", 2, 10**6), 1e-3 + 1e-6),  # one message
        (Call("bcast", 8, 1000), 3 * (1e-6 + 1e-6)),
        (Call("bcast", 16, 1000), 3 * (1e-6 + 1e-6) + 4e-6 + 1e-6),
        (Call("allreduce", 16, 1000), 3 * (1e-6 + 1e-6) + 4e-6 + 1e-6),
        (Call("allreduce", 4, 40_000), 6 * (1e-6 + 1e-5)),
        (Call("allgather", 4, 4000), 3 * (1e-6 + 1e-6)),
        (Call("gather", 16, 16_000), 3e-6 + 4e-6 + 1.5e-5),
        (Call("exchange", 4, 3000), 3 * (1e-6 + 1e-6)),
    ],
    ids=str,
)
def test_a_call_takes_its_messages(call, seconds):
    assert call.seconds(NETWORK) == pytest.approx(seconds)


@pytest.mark.parametrize("name", PLATFORMS)
def test_a_plan_on_a_platform_uses_its_speeds(name):
    platform, machine = PLATFORMS[name], Machine.of(name)
    product = plan(8192, 8192, 8192, 64)
    computing = product.flops / platform.flops
    sending = product.received / platform.bandwidth
    assert computing + sending < product.seconds(machine) < 2 * (computing + sending)
    eigh = plan_operation(find_operation("eigh"), (8192,), 64, "f8")
    assert sum(eigh.calls.values()) > 8192
    assert eigh.seconds(machine) > 8192 * 6 * platform.near_latency


def test_faster_networks_and_cores_are_faster():
    seconds = {
        name: plan(4096, 4096, 4096, 256).seconds(Machine.of(name))
        for name in PLATFORMS
    }
    for name, value in seconds.items():
        assert value >= seconds[name.replace("100", "400")]
        assert value > seconds[name.replace("slow", "fast")] or "fast" in name


def test_a_platform_and_a_measurement_are_refused_together():
    options = Options("multiply", random=(8, 8, 8), plan=True, calibrate=True)
    check(options)
    both = Options(**vars(options) | {"platform": "torus-100-slow"})
    with pytest.raises(ValueError, match="omit one"):
        check(both)
