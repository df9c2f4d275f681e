"""Speed-up, efficiency, POP metrics, verdicts: worked examples with their source."""

import pytest

from mpiapps.scaling import metrics
from mpiapps.scaling.measurement import from_records
from mpiapps.scaling.rules import RULES, parse_rule
from mpiapps.scaling.statistics import median, ratio_of_medians
from mpiapps.scaling.study import Case
from mpiapps.scaling.verdict import judge
from tests.scaling.studies import measured, study

# Cores, run time in s, speed-up, efficiency in %:
# ETH Zurich, https://scicomp.ethz.ch/wiki/Parallel_efficiency
EULER = [
    (1, 26779, 1, 100),
    (2, 15237, 1.76, 88),
    (4, 6743, 3.97, 99),
    (8, 13435, 1.99, 25),
    (12, 19369, 1.38, 12),
    (24, 18761, 1.43, 6),
]


def rows_of(times, kind="strong", **changes):
    counts = [count for count, _ in times]
    runs = [measured(Case(0, count), seconds) for count, seconds in times]
    return metrics.rows(study(kind, counts, **changes), runs)


@pytest.fixture
def euler():
    return rows_of([line[:2] for line in EULER])


def test_speedup_and_efficiency_of_the_table_of_eth(euler):
    for row, (count, seconds, speedup, percent) in zip(euler, EULER, strict=True):
        assert row.case.count == count
        assert row.seconds.value == seconds
        assert row.capacity.value == pytest.approx(speedup, abs=0.005)
        assert 100 * row.efficiency.value == pytest.approx(percent, abs=0.6)


def test_weak_efficiency_is_the_ratio_of_times():
    rows = rows_of([(1, 10.0), (4, 12.5), (16, 20.0)], "weak")
    assert [row.efficiency.value for row in rows] == pytest.approx([1, 0.8, 0.5])
    assert [row.capacity.value for row in rows] == pytest.approx([1, 3.2, 8])


def test_throughput_counts_copies():
    cases = tuple(Case(0, 1, 1, copies) for copies in (1, 2))
    runs = [measured(cases[0], 10.0), measured(cases[1], 12.5)]
    rows = metrics.rows(study("throughput", cases=cases), runs)
    assert rows[1].capacity.value == pytest.approx(1.6)
    assert rows[1].efficiency.value == pytest.approx(0.8)


def test_the_reference_need_not_be_one_core():
    rows = rows_of([(4, 10.0), (8, 6.25)])
    assert rows[1].capacity.value == pytest.approx(1.6)
    assert rows[1].efficiency.value == pytest.approx(0.8)


def test_pop_metrics():
    """Definitions: https://co-design.pop-coe.eu/metrics/index.html

    One process computes 8 s in 10 s; two compute 4 and 6 s in 8 s.
    """
    cases = Case(0, 1), Case(0, 2)
    runs = [measured(cases[0], 10.0, useful=(8.0,)),
            measured(cases[1], 8.0, useful=(4.0, 6.0))]  # fmt: skip
    one, two = metrics.rows(study(counts=(1, 2)), runs)
    assert (one.pop.load_balance, one.pop.communication) == (1, 0.8)
    assert two.pop.load_balance == pytest.approx(5 / 6)
    assert two.pop.communication == pytest.approx(6 / 8)
    assert two.pop.parallel == pytest.approx(5 / 8)
    assert two.pop.computation == pytest.approx(8 / 10)
    assert two.pop.overall == pytest.approx(1 / 2)
    # Global efficiency relative to the reference's is the efficiency of the time.
    assert two.pop.overall / one.pop.overall == pytest.approx(two.efficiency.value)


def test_core_hours_count_all_cores_and_the_start_of_the_launcher():
    cases = (Case(0, 4, 2),)
    rows = metrics.rows(
        study(cases=cases), [measured(cases[0], 1.0, elapsed=1800.0, memory=(5, 7))]
    )
    assert rows[0].core_hours == 4
    assert rows[0].memory == 7


def test_the_fastest_case_of_each_count_is_used():
    cases = Case(0, 1, 2), Case(0, 2, 1), Case(0, 1, 1)
    runs = [measured(c, s) for c, s in zip(cases, (3.0, 2.0, 5.0), strict=True)]
    rows = metrics.rows(study(cases=tuple(sorted(cases))), runs)
    assert [row.case for row in metrics.fastest(rows)] == [Case(0, 1, 1), Case(0, 2, 1)]


def test_the_median_of_five_runs_is_within_its_interval():
    estimate = median([1.0, 1.1, 1.2, 5.0, 1.05])
    assert estimate.value == 1.1
    assert 1.0 <= estimate.low <= 1.1 <= estimate.high <= 5.0
    assert median([2.0]) == (2.0, 2.0, 2.0)
    assert ratio_of_medians([2.0, 2.0], [1.0, 1.0]) == (2, 2, 2)


def test_bootstrap_intervals_cover_the_median():
    """Nominal 95 % of 21 runs; the percentile method reaches about 93 %."""
    import numpy as np

    generator = np.random.default_rng(1)
    samples = generator.exponential(size=(200, 21))
    estimates = [median(sample, seed) for seed, sample in enumerate(samples)]
    covered = sum(e.low <= np.log(2) <= e.high for e in estimates)
    assert 180 <= covered <= 199


# 10 s on 512, then gains of 1.6, 1.45, 1.35, 1.2 per doubling.
GAINS = [(256, 16.0), (512, 10.0), (1024, 10 / 1.45), (2048, 10 / 1.45 / 1.35),
         (4096, 10 / 1.45 / 1.35 / 1.2)]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "largest"),
    [("csc", 512), ("csc-louhi", 2048), ("doubling:1.1", 4096), ("doubling:1.7", 256),
     ("efficiency:0.75", 512), ("pop", 512), ("efficiency:0.3", 2048)],
)  # fmt: skip
def test_the_largest_count_that_passes(rule, largest):
    assert judge(parse_rule(rule), rows_of(GAINS)).largest == largest


def test_a_count_beyond_one_that_fails_does_not_pass():
    """Of ETH's example: 4 cores pass 75 %, 8 do not; 12 is not looked at."""
    rows = rows_of([(1, 8.0), (2, 6.0), (4, 2.1)])
    verdict = judge(parse_rule("efficiency:0.75"), rows)
    assert [check.passes for check in verdict.checks] == [False, True]
    assert verdict.largest == 1


def test_between_counts_that_are_not_doubled_the_gain_is_the_geometric_mean():
    verdict = judge(parse_rule("csc"), rows_of([(1, 9.0), (4, 4.0), (12, 2.0)]))
    assert verdict.checks[0].value.value == pytest.approx(1.5)
    assert verdict.checks[1].value.value == pytest.approx(2 ** (1 / 1.5849625))


def test_a_value_within_its_interval_is_not_certain():
    cases = Case(0, 1), Case(0, 2)
    runs = [measured(cases[0], 10.0, k) for k in range(5)]
    runs += [measured(cases[1], s, k) for k, s in enumerate((6.0, 6.4, 6.6, 6.8, 7.0))]
    verdict = judge(parse_rule("csc"), metrics.rows(study(counts=(1, 2)), runs))
    assert not verdict.checks[0].certain
    sure = judge(parse_rule("doubling:1.9"), metrics.rows(study(counts=(1, 2)), runs))
    assert sure.checks[0].certain
    assert not sure.checks[0].passes


@pytest.mark.parametrize(
    "text", ["", "csx", "doubling:2", "doubling:x", "efficiency:1.5"]
)
def test_a_wrong_rule_is_an_error_that_names_the_rules(text):
    with pytest.raises(ValueError, match=r"doubling:1\.5.*csc"):
        parse_rule(text)


def test_each_rule_has_a_source():
    assert all("http" in rule.source for rule in RULES)


FIRST = {"kernel": 1.0, "compile": 2.0, "total": 5.0}
RECORD = {
    "usage": {
        "ranks": [
            {"rank": 0, "timers": FIRST, "peak_memory": 8},
            {"rank": 1, "timers": {"kernel": 2.0, "total": 2.5}, "peak_memory": 9},
        ]
    }
}


def test_a_measurement_is_of_the_slowest_rank_without_compilation():
    m = from_records(Case(0, 2), 0, [RECORD], 9.0, region="total")
    assert m.seconds == 3.0
    assert m.useful == (1.0, 2.0)
    assert m.memory == (8, 9)
    assert m.phases == {"kernel": 2.0, "compile": 2.0, "total": 5.0}


def test_a_region_that_the_program_lacks_is_an_error_that_names_its_timers():
    from mpiapps.base.errors import UsageError

    with pytest.raises(UsageError, match="'multiply'; it has kernel, compile, total"):
        from_records(Case(0, 2), 0, [RECORD], 9.0, region="multiply")
