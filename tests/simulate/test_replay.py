"""The real simulator, on few ranks: `make test-simulate`."""

import sys

import pytest

from mpiapps.base.platforms import PLATFORMS
from tests.commands import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "simulate"))

from cases import CASES
from simgrid import replay

pytestmark = pytest.mark.simulate


@pytest.mark.parametrize("topology", ["fat-tree", "dragonfly", "torus"])
def test_the_plan_of_a_product_agrees_with_the_simulator(topology):
    platform = PLATFORMS[f"{topology}-100-slow"]
    case = CASES["gemm"](platform, 64)
    result = replay(platform, case.traces, case.hosts, limit=60)
    assert case.planned == pytest.approx(result.seconds, rel=0.25)


@pytest.mark.parametrize("name", ["cholesky", "lu", "checkpoint"])
def test_the_plan_agrees_with_the_simulator(name):
    platform = PLATFORMS["fat-tree-100-slow"]
    case = CASES[name](platform, 64)
    result = replay(platform, case.traces, case.hosts, limit=60)
    assert case.planned == pytest.approx(result.seconds, rel=0.25)


def test_one_manager_saturates_with_single_tasks_and_not_with_chunks():
    platform = PLATFORMS["fat-tree-100-slow"]
    efficiency = {}
    for name in ("manager", "manager-chunks"):
        case = CASES[name](platform, 1024)
        result = replay(platform, case.traces, case.hosts, limit=60)
        efficiency[name] = case.useful / result.seconds
    assert efficiency["manager"] < 0.7
    assert efficiency["manager-chunks"] > 0.9
