"""Rank tests of four dtypes run with two of them on every number of ranks."""

import itertools

import pytest

from tests.combinations import HALVES, half_of_lane, runs

CASES = [f"tests/linalg/test_{n}.py::test_it[{n}]" for n in range(40)]
LANES = [(size, "Open MPI") for size in (1, 2, 3, 4, 6)]
LANES += [(3, "MPICH"), (3, "Intel MPI")]


def dtypes_of(case, lane):
    return {dtype for dtype in HALVES if runs(case, dtype, half_of_lane(*lane))}


def test_a_lane_runs_a_real_and_a_complex_dtype_of_each_case():
    for case, lane in itertools.product(CASES, LANES):
        assert dtypes_of(case, lane) in ({"f4", "c16"}, {"f8", "c8"})


def test_each_dtype_of_a_case_runs_on_a_power_of_two_and_on_another_number():
    for case, dtype in itertools.product(CASES, HALVES):
        sizes = {
            size
            for size, vendor in LANES[:5]
            if dtype in dtypes_of(case, (size, vendor))
        }
        assert sizes & {2, 4}
        assert sizes & {3, 6}


@pytest.mark.parametrize("lane", LANES, ids=str)
def test_a_lane_runs_all_dtypes(lane):
    assert set().union(*(dtypes_of(case, lane) for case in CASES)) == {*HALVES}


def test_mpis_run_other_dtypes():
    for case in CASES:
        assert dtypes_of(case, (3, "MPICH")) != dtypes_of(case, (3, "Open MPI"))
