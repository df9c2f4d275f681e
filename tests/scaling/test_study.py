"""Cases, their order, the arguments of weak studies, and what is warned about."""

import pytest

from mpiapps.base.errors import UsageError
from mpiapps.pi import Options as PiOptions
from mpiapps.scaling.options import parse_counts
from mpiapps.scaling.study import Case, cases_of
from mpiapps.scaling.weak import evaluate, parse_scaled, scale
from tests.scaling.studies import study


def test_the_order_interleaves_all_cases_and_is_the_same_each_time():
    one = study(counts=(1, 2, 4), repeats=3)
    order = list(one.order())
    for repeat in range(3):
        part = order[3 * repeat : 3 * repeat + 3]
        assert {case.ranks for case, _ in part} == {1, 2, 4}
        assert {number for _, number in part} == {repeat}
    assert order == list(one.order())
    assert len({tuple(case for case, _ in order[k : k + 3]) for k in (0, 3, 6)}) > 1


def test_ranks_and_threads_are_combined():
    cases = cases_of("strong", [], [1, 2], [1, 2])
    assert [(c.ranks, c.threads, c.cores) for c in cases] == [
        (1, 1, 1), (1, 2, 2), (2, 1, 2), (2, 2, 4)]  # fmt: skip


def test_ranks_are_per_node_if_nodes_are_counted():
    cases = cases_of("strong", [1, 2], [16], [2])
    assert [(c.count, c.ranks, c.cores) for c in cases] == [(1, 16, 32), (2, 32, 64)]


def test_throughput_runs_copies_of_one_rank():
    cases = cases_of("throughput", [], [1, 4], [2])
    assert [(c.ranks, c.copies, c.cores) for c in cases] == [(1, 1, 2), (1, 4, 8)]


@pytest.mark.parametrize(
    ("case", "label"),
    [
        (Case(), "1 rank"),
        (Case(0, 4, 2), "4 ranks x 2 threads"),
        (Case(1, 16), "1 node x 16 ranks"),
        (Case(0, 1, 1, 3), "3 copies x 1 rank"),
    ],
)
def test_labels(case, label):
    assert case.label == label


@pytest.mark.parametrize(
    ("text", "counts"),
    [("4,1,2", (1, 2, 4)), ("2,2", (2,)), ("", ()), ("1024", (1024,))],
)
def test_lists_of_counts(text, counts):
    assert parse_counts(text) == counts


@pytest.mark.parametrize("text", ["0", "1,", "1;2", "-1", "1.5", "a", "99999999"])
def test_wrong_lists_of_counts_are_errors(text):
    with pytest.raises(ValueError, match="write 1,2,4"):
        parse_counts(text)


@pytest.mark.parametrize(
    ("rule", "arguments", "count", "expected"),
    [
        ("samples", ["--samples", "1e6"], 4, ["--samples", "4000000"]),
        ("samples", ["--samples=1e6", "-v"], 4, ["--samples", "4000000", "-v"]),
        ("samples", [], 3, ["--samples", "3000000000"]),
        ("rows: n*sqrt(p)", ["--rows", "100"], 4, ["--rows", "200"]),
        ("rows: round(n*cbrt(p))", ["--rows", "100"], 2, ["--rows", "126"]),
        ("work", ["--work", "0.5"], 4, ["--work", "2.0"]),
        (
            "random[1]",
            ["multiply", "--random", "8", "9", "10", "--check"],
            2,
            ["multiply", "--random", "8", "18", "10", "--check"],
        ),
        ("random: n*p", ["--random", "8", "9"], 2, ["--random", "16", "18"]),
        ("seed: n + p", ["--seed", "0"], 2, ["--seed", "2"]),
    ],
)
def test_arguments_of_weak_studies(rule, arguments, count, expected):
    assert scale([parse_scaled(rule)], arguments, count, PiOptions) == expected


@pytest.mark.parametrize(
    ("rule", "message"),
    [("size", "give the value for one core"), ("random[2]", "has 2 values")],
)
def test_an_option_without_a_value_to_scale_is_an_error(rule, message):
    with pytest.raises(UsageError, match=message):
        scale([parse_scaled(rule)], ["--random", "1", "2"], 2, PiOptions)


@pytest.mark.parametrize(
    "formula",
    ["__import__('os')", "n.real", "q*2", "n*", "1/0", "'a'", "(lambda: 1)()",
     "sqrt(n, 2)", "2**2**99999", "1e999"],
)  # fmt: skip
def test_other_formulas_are_errors(formula):
    with pytest.raises(ValueError, match="formula"):
        evaluate(formula, {"n": 1, "p": 1})


def test_counts_that_do_not_divide_the_work_are_warned_about():
    values = {"counts": (1, 2, 3, 4), "work": ("rows",)}
    lines = study(arguments=("--rows", "100"), **values).warnings()
    assert len(lines) == 1
    assert "3 ranks: --rows 100 is not a multiple of 3" in lines[0]
    assert "2.0% above the mean" in lines[0]
    assert study(arguments=("--rows", "1000000"), **values).warnings() == []


def test_a_weak_study_that_rounds_its_work_is_warned_about():
    one = study(
        "weak", (1, 2, 3), arguments=("--rows", "10"), work=("rows",),
        scaled=(parse_scaled("rows: n*sqrt(p)"),),
    )  # fmt: skip
    assert [line[:8] for line in one.warnings()] == ["3 ranks:"]
