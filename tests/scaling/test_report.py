"""Tables, plots and files of results; pictures are looked at, not compared."""

import csv
import io
import json
import re

import pytest

from mpiapps.amdahl import Options
from mpiapps.scaling import plot, report, table, text_plot
from mpiapps.scaling.extrap_format import as_json_lines
from mpiapps.scaling.results import analyse
from mpiapps.scaling.rules import parse_rule
from mpiapps.scaling.study import Case
from tests.scaling.studies import measured, study, virtual_runs

OPTIONS = Options(work=100, serial=0.05, noise=0.02)


@pytest.fixture(scope="module")
def results():
    one = study(arguments=("--mode", "a_b|c", "50%"))
    runs = virtual_runs(OPTIONS)
    return analyse(one, runs, parse_rule("efficiency:0.75"), (128, 1024))


def test_the_text_names_models_rule_and_predictions(results):
    text = table.as_text(report.table(results))
    assert re.search(
        r"Amdahl: C = .*serial fraction 0\.0[45]\d+ \[.*best by AICc", text
    )
    assert "Rule efficiency:0.75: efficiency of at least 0.75" in text
    assert "The largest count that passes is 4" in text
    assert re.search(r"Predicted for 128: 5\.\d+ s, between", text)
    far = next(line for line in text.splitlines() if "1024:" in line)
    assert "16 times the largest measured count" in far
    assert "left out" in text


def test_the_table_has_a_line_per_count(results):
    rows = report.table(results).rows
    assert [row[0] for row in rows] == ["1", "2", "4", "8", "16", "32", "64"]
    assert {row[1] for row in rows} == {"5"}


def test_csv_has_all_digits(results):
    text = table.as_csv(report.table(results, digits=True))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert float(rows[3]["time, s"]) == results.rows[3].seconds.value
    assert float(rows[3]["efficiency"]) == results.rows[3].efficiency.value


def test_markdown_escapes_its_separator():
    one = table.Table("t", ["a|b"], [["1"]], ["note"])
    assert table.as_markdown(one).splitlines()[2:5] == [
        r"| a\|b |", "| ---: |", "| 1 |"]  # fmt: skip


def test_latex_escapes_its_special_characters(results):
    text = table.as_latex(report.table(results))
    assert r"a\_b|c 50\%" in text
    assert text.count(r"\\") == 8
    assert "\\begin{tabular}{" + "r" * 6 + "}" in text
    unescaped = re.sub(r"\\[%_&#$^~{}]", "", text)
    assert not re.search(r"[%_#$]", unescaped)


def test_json_has_everything_a_script_needs(results):
    values = json.loads(json.dumps(report.as_json(results, "a")))
    assert values["verdict"]["largest"] == 4
    assert values["models"][0]["model"] == "Amdahl"
    assert abs(values["models"][0]["leave_largest_out"]) < 0.1
    assert set(values["predictions"]) == {"128", "1024"}
    assert len(values["measurements"]) == 35


@pytest.mark.parametrize(
    ("form", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_plots(results, form, start):
    assert plot.draw(results, form).startswith(start)


def test_a_plot_of_one_count():
    one = analyse(study(counts=(1,)), [measured(Case(), 1.0)])
    assert plot.draw(one, "png").startswith(b"\x89PNG")
    assert "1.00" in text_plot.draw(one)
    assert "Too few counts for a model" in table.as_text(report.table(one))


def test_the_text_plot_shows_efficiency_and_its_interval():
    cases = Case(0, 1), Case(0, 2), Case(0, 4)
    runs = [measured(cases[0], 8.0), measured(cases[1], 5.0)]
    runs += [measured(cases[2], s, k) for k, s in enumerate((3.0, 4.0, 5.0))]
    lines = text_plot.draw(analyse(study(counts=(1, 2, 4)), runs)).splitlines()
    assert lines[2].split() == ["2", "#" * 40, "|", "0.80"]
    assert lines[3].count("-") > 0
    assert lines[3].endswith("0.50")
    assert [line[7 + 49] for line in lines[1:]] == ["|"] * 3


def test_columns_appear_where_they_are_needed():
    cases = Case(0, 1, 1), Case(0, 1, 2)
    runs = [measured(c, 1.0, useful=(0.5,), memory=(2**20,)) for c in cases]
    header = report.table(analyse(study(cases=cases), runs)).header
    assert header == ["ranks", "threads", "runs", "time, s", "speed-up", "efficiency",
                      "load balance", "communication", "parallel", "computation",
                      "global", "memory per rank", "core hours"]  # fmt: skip


def test_phases_have_models_of_their_own():
    counts = (1, 2, 4, 8, 16)
    runs = [
        measured(Case(0, p), 1.0, phases={"kernel": 8 / p, "gather": 0.01 * p})
        for p in counts
    ]
    phases = analyse(study(counts=counts), runs).phases
    assert phases["kernel"].model.formula == "T = c0 + c1 p^-1"
    assert phases["gather"].model.formula == "T = c0 + c1 p^1"


def test_lines_of_extra_p():
    runs = [measured(Case(0, 2), 3.0, phases={"kernel": 2.0}), measured(Case(), 5.0)]
    lines = [json.loads(line) for line in as_json_lines(runs).splitlines()]
    first = {"params": {"p": 1}, "callpath": "studied", "metric": "time", "value": 5.0}
    assert lines[0] == first
    assert [line["callpath"] for line in lines] == ["studied", "studied", "kernel"]
