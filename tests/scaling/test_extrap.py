"""Extra-P reads the measurements that are written for it, and finds the same models."""

import json
import math

import pytest

from mpiapps.scaling.extrap_format import as_json_lines
from mpiapps.scaling.results import analyse
from mpiapps.scaling.study import Case
from tests.commands import ROOT, run
from tests.scaling.studies import measured, study

COUNTS = (1, 2, 4, 8, 16, 32)
PHASES = {
    "barrier": lambda p: 0.5 + 0.25 * math.log2(p),
    "gather": lambda p: 0.1 + 0.02 * math.sqrt(p),
    "exchange": lambda p: 0.3 + 0.01 * p * math.log2(p),
}
# Extra-P's factors of the terms above.
FACTORS = {
    "barrier": [["logarithm", "1"]],
    "gather": [["polynomial", "1/2"]],
    "exchange": [["polynomial", "1"], ["logarithm", "1"]],
}
FORMULAS = {
    "barrier": "T = c0 + c1 log2(p)",
    "gather": "T = c0 + c1 p^1/2",
    "exchange": "T = c0 + c1 p^1 log2(p)",
}


@pytest.mark.extrap
def test_extrap_reads_the_lines_and_gets_the_same_models(tmp_path):
    python = ROOT / ".venv-extrap" / "bin" / "python"
    assert python.exists(), "extrap is missing: run `make test-extrap`"
    runs = [
        measured(
            Case(0, p), 1 + p, k,
            phases={n: f(p) * (1 + 1e-3 * k) for n, f in PHASES.items()},
        )
        for p in COUNTS
        for k in (-1, 0, 1)
    ]  # fmt: skip
    path = tmp_path / "study.jsonl"
    path.write_text(as_json_lines(runs))
    ended = run([str(python), str(ROOT / "tests/scaling/read_by_extrap.py"), str(path)])
    assert ended.code == 0, ended.err
    theirs = json.loads(ended.out)
    ours = analyse(study("weak", COUNTS), runs).phases
    for name in PHASES:
        (term,) = theirs[name]["terms"]
        assert ours[name].model.formula == FORMULAS[name]
        assert term["factors"] == FACTORS[name]
        assert [theirs[name]["constant"], term["coefficient"]] == pytest.approx(
            list(ours[name].theta), rel=1e-3
        )
