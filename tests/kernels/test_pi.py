import math
import re
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpiapps.comm.random import Stream
from mpiapps.kernels import pi
from mpiapps.kernels.pi_estimate import BIAS, estimate_darts, estimate_strata

N = 4000


def darts(seed, wide):
    """Return whether each of the first N darts hits, by Python's integers."""
    words = Stream(seed).words(0, 2 * N).astype(object)
    if wide:
        bits, pairs = 32, zip(words[::2], words[1::2], strict=True)
    else:
        bits, pairs = 16, ((w & 0xFFFF, w >> 16) for w in words[:N])
    # twice the coordinates, so that midpoints are integers
    return [(2 * i + 1) ** 2 + (2 * j + 1) ** 2 < 4 ** (bits + 1) for i, j in pairs]


DARTS = {(seed, wide): darts(seed, wide) for seed in (0, 7) for wide in (False, True)}


@given(
    st.sampled_from(sorted(DARTS)),
    st.integers(0, N),
    st.integers(0, N),
)
def test_any_range_counts_the_darts_of_the_stream(key, one, other):
    first, last = sorted((one, other))
    seed, wide = key
    hits = pi.count_darts(seed, 0, first, last, wide)
    assert hits == sum(DARTS[key][first:last])


@pytest.mark.parametrize("wide", [False, True])
def test_ranges_add_up_across_strides_and_beyond_32_bits(wide):
    per_index = 2 if wide else 4
    for start in (0, per_index * (2**32 - 100), 10**15 + 1):
        cuts = [start, start + 3]
        cuts += [start + per_index * (2**20 + 5), start + per_index * 2**21]
        parts = [pi.count_darts(1, 0, a, b, wide) for a, b in pairwise(cuts)]
        assert sum(parts) == pi.count_darts(1, 0, cuts[0], cuts[-1], wide)
    last = 2**63 - 1
    assert 0 <= pi.count_darts(1, 0, last - 5, last, wide) <= 5


def strata(seed, side):
    """Return hits and split cells, with the darts of all cells."""
    hits = split = 0
    for i in range(side):
        words = Stream(seed, 1).words(0, 4 * side, block=i).astype(object)
        for j in range(side):
            x = words[4 * j : 4 * j + 4]
            one, two = (
                (2 * (i * 2**32 + u) + 1) ** 2 + (2 * (j * 2**32 + v) + 1) ** 2
                < (side * 2**33) ** 2
                for u, v in (x[:2], x[2:])
            )
            hits += one + two
            split += one != two
    return hits, split


@pytest.mark.parametrize("side", [1, 2, 3, 16, 61])
def test_cells_without_darts_are_counted(side):
    assert pi.count_strata(3, 1, 0, side, side) == strata(3, side)


def test_strata_rows_add_up():
    whole = pi.count_strata(3, 1, 0, 1000, 1000)
    parts = [
        pi.count_strata(3, 1, i, min(i + 7, 1000), 1000) for i in range(0, 1000, 7)
    ]
    assert tuple(np.sum(parts, axis=0)) == whole


@pytest.mark.parametrize("bits", [12, 16])
def test_the_bias_of_the_lattice_is_the_stated_one(bits):
    i = np.arange(2**bits, dtype=np.int64)
    room = 4**bits - 1 - i * (i + 1)  # j (j + 1) may be this at most
    j = (np.sqrt(room + 0.25) - 0.5).astype(np.int64)
    j += (j + 1) * (j + 2) <= room
    j -= j * (j + 1) > room
    bias = 4 * int((j + 1).sum()) / 4**bits - math.pi
    known = BIAS.get(bits, 4.1405386e-6)
    assert bias == pytest.approx(known, rel=1e-6)


def test_standard_errors_are_right():
    """Compare fractions of 400 estimates within one and two standard errors."""
    for kind in ("darts", "strata"):
        z = []
        for seed in range(400):
            if kind == "darts":
                hits = pi.count_darts(seed, 0, 0, 10_000, False)
                values, _ = estimate_darts(hits, 10_000, 16)
            else:
                counts = pi.count_strata(seed, 1, 0, 64, 64)
                values, _ = estimate_strata(*counts, 64, 2 * 64**2)
            z.append((values["pi"] - math.pi) / values["stderr"])
        inside = [np.mean(np.abs(z) < limit) for limit in (1, 2)]
        assert inside == pytest.approx([0.683, 0.954], abs=0.07), kind
        assert abs(np.mean(z)) < 4 / 400**0.5, kind


def test_strata_are_ten_times_more_accurate_than_darts():
    n, seeds = 2**20, range(32)
    side = math.isqrt(n // 2)
    darts_ = [4 * pi.count_darts(s, 0, 0, n, False) / n for s in seeds]
    strata_ = [
        4 * pi.count_strata(s, 1, 0, side, side)[0] / (2 * side**2) for s in seeds
    ]
    rms = [np.sqrt(np.mean((np.array(e) - math.pi) ** 2)) for e in (darts_, strata_)]
    assert rms[0] / rms[1] > 10


@pytest.mark.parametrize(("hits", "samples"), [(0, 1), (1, 1), (0, 3), (785, 1000)])
def test_small_counts_have_the_exact_interval(hits, samples):
    from scipy.stats import binomtest

    values, _ = estimate_darts(hits, samples, 16)
    exact = binomtest(hits, samples).proportion_ci(0.95, method="exact")
    assert values["interval"] == pytest.approx([4 * exact.low, 4 * exact.high])
    assert values["pi"] == 4 * hits / samples


def test_a_significant_bias_is_noted():
    assert estimate_darts(785 * 10**11, 10**14, 16)[1][0].startswith("the lattice of")
    assert estimate_darts(785 * 10**10, 10**13, 16)[1] == []
    assert estimate_darts(785 * 10**15, 10**18, 32)[1] == []


@pytest.mark.parametrize("kernel", ["misses16", "misses32"])
def test_the_hot_loops_use_the_widest_registers(kernel):
    fresh = numba.njit(nogil=True)(getattr(pi, kernel).py_func)  # cached code has none
    fresh(0, 0, 0, 64)
    text = Path("/proc/cpuinfo").read_text()
    flags = set(re.search(r"flags\s*:(.*)", text)[1].split())
    wide = "zmm" if "avx512f" in flags else "ymm"
    assembly = "\n".join(fresh.inspect_asm().values())
    products = re.findall(rf"vpmuludq\s.*%{wide}", assembly)
    # ten rounds of two products, at least once for a whole vector
    assert len(products) >= 18, f"{kernel} is not vector code on {wide}"


def test_the_kernels_free_the_gil():
    from threading import Thread

    beats = []
    thread = Thread(target=pi.count_darts, args=(0, 0, 0, 2 * 10**9, False))
    thread.start()
    while thread.is_alive():
        beats.append(1)
    assert len(beats) > 100
