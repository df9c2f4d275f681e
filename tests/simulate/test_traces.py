"""Traces for the simulator: what ranks send to each other fits together."""

import sys
from collections import Counter

import numpy as np
import pytest

from mpiapps.base.platforms import PLATFORMS
from mpiapps.linalg.cost_model import calls_of
from mpiapps.linalg.grid_choice import Grid
from mpiapps.linalg.layout import Layout
from mpiapps.linalg.product_choice import SUMMA, Choice
from tests.commands import ROOT

sys.path.insert(0, str(ROOT / "scripts" / "simulate"))

from cases import CASES
from platform_xml import to_xml
from task_cases import RANKS_PER_HOST
from traces import TracedTraffic, product_trace

PLATFORM = PLATFORMS["fat-tree-100-slow"]


def members(words):
    first, stride, count = map(int, words)
    return [first + stride * i for i in range(count)]


@pytest.mark.parametrize("grid", [Grid(2, 3), Grid(4, 1), Grid(2, 2, 3)], ids=str)
def test_all_ranks_of_a_group_make_the_same_calls(grid):
    choice = Choice(SUMMA, grid, grid.layouts(700, 600, 1800))
    calls = {}
    for rank in range(grid.size):
        trace = list(product_trace(choice, rank, grid.size))
        planned = sum(calls_of(choice, rank, grid.size, 8).values())
        assert sum("_in " in action for action in trace) == planned
        for action in trace:
            op, *words = action.split()
            if op == "bcast_in":
                group = members(words[:3])
                assert rank in group
                calls.setdefault(tuple(group), {}).setdefault(rank, []).append(words)
    for group, made in calls.items():
        assert sorted(made) == sorted(group)
        assert len({str(words) for words in made.values()}) == 1


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 6])
def test_a_redistribution_sends_what_is_received(ranks):
    old = Layout.balanced((90, 70), ranks)
    new = Layout.cyclic((90, 70), ranks, 16)
    sent, received = Counter(), Counter()
    for rank in range(ranks):
        traffic = TracedTraffic(rank, ranks)
        traffic.move(old, new, 8)
        total = 0
        for action in traffic.actions:
            _, to, out, source, come = map(int, ["0", *action.split()[1:]])
            sent[rank, to] += out
            received[source, rank] += come
            total += come
        assert total == traffic.received
    assert sent == received


@pytest.mark.parametrize("name", CASES)
def test_each_rank_has_a_trace_and_a_host(name):
    case = CASES[name](PLATFORM, 64)
    traces = [list(trace) for trace in case.traces]
    assert len(traces) == len(case.hosts) >= 64
    assert all(traces)
    if "counter" in name or "manager" in name:
        assert max(case.hosts) == 64 // RANKS_PER_HOST - 1
    if case.planned is not None:
        assert np.isfinite(case.planned)
        assert case.planned > 0


@pytest.mark.parametrize("hosts", [64, 256, 16384])
@pytest.mark.parametrize("name", PLATFORMS)
def test_the_network_has_all_hosts(name, hosts):
    text = to_xml(PLATFORMS[name], hosts)
    assert f'radical="0-{hosts - 1}"' in text
    numbers = text.split('topo_parameters="')[1].split('"')[0]
    if "torus" in name:
        sides = [int(word) for word in numbers.split(",")]
    elif "fat" in name:
        sides = [int(word) for word in numbers.split(";")[1].split(",")]
    else:
        sides = [int(word.split(",")[0]) for word in numbers.split(";")]
    assert np.prod(sides) == hosts
